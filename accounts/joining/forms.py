"""What the pages of this room may send."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.users.forms import role_choices
from accounts.users.models import User
from accounts.users.passwords import LONGEST, find_problems, rules_in_words
from tenancy.doors.plain_text import PlainText

from .models import MOST_SPECIALTIES


def password_field(label, *, autocomplete="current-password", **options):
    """A password as it was typed: spaces belong to it. Longer than 256 characters is refused before it is looked at."""
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, max_length=LONGEST, widget=widget, **options)


class NewPassword(forms.Form):
    """A new password, twice, with the rules in words. `person` is whose it becomes."""

    mark_required = False

    password = password_field(gettext_lazy("New password"), autocomplete="new-password")
    repeated = password_field(gettext_lazy("The same once more"), autocomplete="new-password")

    def __init__(self, *args, person=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.person = person
        self.fields["password"].help_text = _rules()

    def whose(self):
        """The person the password is checked against."""
        return self.person

    def clean(self):
        data = super().clean() or self.cleaned_data
        password, repeated = data.get("password"), data.get("repeated")
        if password and repeated and password != repeated:
            self.add_error("repeated", _("The two passwords are not the same."))
        elif password and repeated:
            for sentence in find_problems(password, self.whose()):
                self.add_error("password", sentence)
        return data


def _rules():
    return format_html_join(mark_safe("<br>"), "{}", ((rule,) for rule in rules_in_words()))


class ChangePasswordForm(NewPassword):
    current = password_field(gettext_lazy("Present password"))

    field_order = ["current", "password", "repeated"]


class SignedUpForm(PlainText, NewPassword):
    """A name and a password for somebody new; the address is known from the link."""

    name = forms.CharField(
        label=gettext_lazy("Your name"), max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )

    field_order = ["name", "password", "repeated"]

    def __init__(self, *args, email="", **kwargs):
        super().__init__(*args, **kwargs)
        self.email = email

    def whose(self):
        return User(email=self.email, username=self.email, name=self.cleaned_data.get("name", ""))


class OwnPasswordForm(forms.Form):
    """Somebody known shows that they are who the mail was sent to: with the second factor, too, where they have one."""

    mark_required = False

    password = password_field(gettext_lazy("Your password"))
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("The six digits in your authenticator app, or one of your recovery codes."),
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args, needs_code=False, **kwargs):
        super().__init__(*args, **kwargs)
        if not needs_code:
            del self.fields["code"]


class RegisterForm(PlainText, NewPassword):
    """A patient registers themself. `clinics` are those that offer it; with one there is nothing to choose."""

    name = forms.CharField(
        label=gettext_lazy("Your name"), max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=gettext_lazy("E-mail"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    phone = forms.CharField(
        label=gettext_lazy("Phone (if you like)"),
        max_length=30,
        required=False,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
    )
    clinic = forms.ChoiceField(label=gettext_lazy("Clinic"))

    field_order = ["clinic", "name", "email", "phone", "password", "repeated"]

    def __init__(self, *args, clinics=(), **kwargs):
        super().__init__(*args, **kwargs)
        if len(clinics) > 1:
            self.fields["clinic"].choices = [(clinic.slug, clinic.name) for clinic in clinics]
        else:
            del self.fields["clinic"]

    def whose(self):
        email = self.cleaned_data.get("email", "")
        return User(email=email, username=email, name=self.cleaned_data.get("name", ""))


class AskResetForm(forms.Form):
    mark_required = False

    email = forms.EmailField(
        label=gettext_lazy("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True}),
    )


class ChangeAddressForm(PlainText, forms.Form):
    mark_required = False

    email = forms.EmailField(
        label=gettext_lazy("New e-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = password_field(gettext_lazy("Your password"))


class InviteForm(PlainText, forms.Form):
    """Whom to ask, as what. The last fields are for those whose work has them."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    email = forms.EmailField(
        label=gettext_lazy("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    roles = forms.MultipleChoiceField(label=gettext_lazy("Roles"), widget=forms.CheckboxSelectMultiple)
    phone = forms.CharField(
        label=gettext_lazy("Phone"),
        max_length=30,
        required=False,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
    )
    department = forms.CharField(
        label=gettext_lazy("Department"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("Where somebody works, such as Reception."),
    )
    specialization = forms.CharField(
        label=gettext_lazy("Specialization"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("Of a doctor, such as Cardiology."),
    )
    specialties = forms.CharField(
        label=gettext_lazy("Further specialties"),
        max_length=400,
        required=False,
        help_text=gettext_lazy("Separated by commas."),
    )

    def __init__(self, *args, roles=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["roles"].choices = role_choices(roles)

    def clean_specialties(self):
        words = [" ".join(word.split()) for word in self.cleaned_data["specialties"].split(",")]
        words = list(dict.fromkeys(word for word in words if word))
        if len(words) > MOST_SPECIALTIES or any(len(word) > 120 for word in words):
            raise ValidationError(_("At most %(most)d, each of at most 120 characters.") % {"most": MOST_SPECIALTIES})
        return words
