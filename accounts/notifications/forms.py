"""What a page may send about mail: one choice a category."""

from django import forms
from django.utils.translation import gettext_lazy as _

from .kinds import CATEGORIES
from .models import Preference

HELP = {
    "security": _("Changes to your password and sign-in are always mailed at once; this is for the rest."),
    "account": _("Your own details and settings."),
    "team": _("Who joins, roles and groups."),
    "care": _("Access to charts, and what waits for you. Mails never name a patient."),
    "quality": _("Documents, training, deviations."),
    "system": _("The running of this installation."),
}


class PreferencesForm(forms.Form):
    """One field a category in which there is a choice. `choices` is selectors.list_choices."""

    mark_required = False

    def __init__(self, *args, choices, **kwargs):
        super().__init__(*args, **kwargs)
        for category, mode in choices.items():
            self.fields[category] = forms.ChoiceField(
                label=CATEGORIES[category],
                help_text=HELP[category],
                choices=Preference.Mode.choices,
                initial=mode,
                widget=forms.RadioSelect,
            )
