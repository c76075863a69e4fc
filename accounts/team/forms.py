"""What the pages about people, roles and groups send. Forms check shape; they never save."""

from datetime import datetime, time, timedelta

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.permission_words import sections, words_for
from accounts.users.forms import role_choices
from tenancy.doors.date_parts import DatePartsField
from tenancy.doors.plain_text import PlainText


def reason_field(**options):
    return forms.CharField(label=_("Reason"), max_length=300, widget=forms.Textarea({"rows": 2}), **options)


class ReasonForm(PlainText, forms.Form):
    mark_required = False
    reason = reason_field()


class MemberForm(PlainText, forms.Form):
    """What the clinic knows of somebody's work."""

    specialization = forms.CharField(label=_("Specialization"), max_length=120, required=False)
    department = forms.CharField(label=_("Department"), max_length=120, required=False)
    specialties = forms.CharField(
        label=_("Specialties"),
        required=False,
        max_length=3000,
        help_text=_("Of a doctor; one a line."),
        widget=forms.Textarea({"rows": 3}),
    )

    def clean_specialties(self):
        lines = [" ".join(line.split()) for line in self.cleaned_data["specialties"].splitlines()]
        kept = list(dict.fromkeys(line for line in lines if line))
        if len(kept) > 30 or any(len(line) > 120 for line in kept):
            raise forms.ValidationError(_("At most 30 lines of at most 120 characters."))
        return kept


class RolesForm(PlainText, forms.Form):
    """Which roles somebody has; several are possible."""

    roles = forms.MultipleChoiceField(
        label=_("Roles"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": _("Choose at least one role; who should not come in any more is deactivated."),
            "invalid_choice": _("There is no such role."),
        },
    )
    reason = reason_field(required=False)

    def __init__(self, *args, roles=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["roles"].choices = role_choices(roles)


class GrantForm(PlainText, forms.Form):
    """One permission for one person, given or kept from them, for a time."""

    effect = forms.ChoiceField(
        label=_("What"),
        choices=[("grant", _("Give a permission")), ("deny", _("Withhold a permission"))],
        initial="grant",
        widget=forms.RadioSelect,
    )
    permission = forms.ChoiceField(label=_("Permission"))
    valid_from = DatePartsField(label=_("From"), required=False, help_text=_("Leave empty for now."))
    valid_until = DatePartsField(
        label=_("Until the end of"), required=False, help_text=_("Leave empty when no end is known.")
    )
    reason = reason_field()

    def __init__(self, *args, zone=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.zone = zone
        groups = [(title, [(str(code), words_for(code)) for code in codes]) for title, codes in sections()]
        self.fields["permission"].choices = [("", _("Choose")), *groups]

    def grant_data(self):
        """What the service takes: whole days of the clinic as moments."""
        data = dict(self.cleaned_data)
        begin, end = data.pop("valid_from"), data.pop("valid_until")
        data.pop("effect")
        midnight = time.min
        return data | {
            "valid_from": datetime.combine(begin, midnight, self.zone) if begin else None,
            "valid_until": datetime.combine(end + timedelta(days=1), midnight, self.zone) if end else None,
        }


class RoleForm(PlainText, forms.Form):
    """A role of the clinic's own: its name, what it is for, and what it may do."""

    name = forms.CharField(label=_("Name"), max_length=100)
    description = forms.CharField(label=_("What it is for"), max_length=300, required=False)
    permissions = forms.MultipleChoiceField(
        label=_("What it may do"), required=False, error_messages={"invalid_choice": _("There is no such permission.")}
    )
    reason = reason_field(required=False)
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["permissions"].choices = [
            (str(code), words_for(code)) for _t, codes in sections() for code in codes
        ]

    def ticked(self):
        """The codes that are on now: as sent, or as they were."""
        value = self["permissions"].value()
        return {str(code) for code in value or ()}


class CopyRoleForm(PlainText, forms.Form):
    mark_required = False
    name = forms.CharField(label=_("Name of the new role"), max_length=100)


class GroupForm(PlainText, forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    kind = forms.CharField(
        label=_("Type"), max_length=60, required=False, help_text=_("Such as department, site, job function.")
    )
    description = forms.CharField(
        label=_("What it is for"), max_length=500, required=False, widget=forms.Textarea({"rows": 2})
    )
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)


class ProfileForm(PlainText, forms.Form):
    """What people change about themselves."""

    name = forms.CharField(
        label=_("Name"), max_length=200, widget=forms.TextInput({"autocomplete": "name"}), strip=True
    )
    phone = forms.CharField(
        label=_("Phone"), max_length=30, required=False, widget=forms.TextInput({"type": "tel", "autocomplete": "tel"})
    )
    language = forms.ChoiceField(label=_("Language"), required=False)
    specialization = forms.CharField(label=_("Specialization"), max_length=120, required=False)
    department = forms.CharField(label=_("Department"), max_length=120, required=False)

    def __init__(self, *args, works_here=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["language"].choices = [("", _("The clinic's")), *settings.LANGUAGES]
        if not works_here:
            del self.fields["specialization"], self.fields["department"]


class SignInSettingsForm(forms.Form):
    """How people sign in here."""

    idle_minutes = forms.IntegerField(
        label=_("Lock the screen after so many minutes without a touch"),
        min_value=5,
        max_value=60,
        help_text=_("5 to 60. A warning comes two minutes before, and nothing typed is lost."),
        widget=forms.NumberInput({"inputmode": "numeric"}),
    )
    session_hours = forms.IntegerField(
        label=_("Ask for the password again after so many hours"),
        min_value=1,
        max_value=24,
        help_text=_("1 to 24, however busy somebody is. Holds for those who sign in from now on."),
        widget=forms.NumberInput({"inputmode": "numeric"}),
    )
    two_factor_required = forms.BooleanField(
        label=_("Staff need a second factor"),
        required=False,
        help_text=_("They have seven days to set it up; after that they can do nothing else first."),
    )
    allows_registration = forms.BooleanField(
        label=_("Patients may register themselves"),
        required=False,
        help_text=_("They confirm their e-mail address and see only their own chart."),
    )
