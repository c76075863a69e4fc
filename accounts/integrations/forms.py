"""What the pages about keys send. Forms check shape; they never save."""

from datetime import datetime, time, timedelta

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.api_keys.scopes import SCOPE_WORDS, SCOPES
from tenancy.doors.plain_text import PlainText

LIVES = [("", _("Until it is revoked")), ("30", _("30 days")), ("90", _("90 days")), ("365", _("One year"))]
OVERLAPS = [
    ("24", _("One day")),
    ("168", _("One week")),
    ("720", _("30 days")),
    ("1", _("One hour")),
    ("0", _("Not at all: it ends now")),
]


class KeyForm(PlainText, forms.Form):
    """A key to make."""

    mark_required = False
    name = forms.CharField(
        label=_("Name"), max_length=255, help_text=_("Which program uses it, and where: “n8n, reception chatbot”.")
    )
    scopes = forms.MultipleChoiceField(
        label=_("It may"),
        choices=[(scope, SCOPE_WORDS[scope]) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple({"class": "in-a-column"}),
        error_messages={"required": _("Choose at least one.")},
    )
    days = forms.ChoiceField(label=_("It lives"), choices=LIVES, required=False)

    def key_data(self) -> dict:
        """What the service takes. A key that lives for days ends at the end of the last of them, clinic time."""
        data = {name: self.cleaned_data[name] for name in ("name", "scopes")}
        if days := self.cleaned_data["days"]:
            last = timezone.localdate() + timedelta(days=int(days))
            data["expires_at"] = timezone.make_aware(datetime.combine(last, time.max))
        return data


class OverlapForm(forms.Form):
    """How long what is replaced lives on. Subclasses say it in their own words."""

    mark_required = False
    hours = forms.ChoiceField(choices=OVERLAPS)

    @property
    def overlap(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["hours"]))


class RotateForm(OverlapForm):
    """How long the old key lives on."""

    hours = forms.ChoiceField(
        label=_("The old key lives on for"),
        choices=OVERLAPS,
        help_text=_("Time to put the new key into the program that uses it."),
    )
