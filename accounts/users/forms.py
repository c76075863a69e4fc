from django import forms
from django.utils.translation import gettext_lazy as _


class SignInForm(forms.Form):
    """E-mail address or user name, password, and the six digits where a second factor is enrolled."""

    username = forms.CharField(
        label=_("E-mail or user name"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True, "spellcheck": "false"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=256,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    otp_code = forms.CharField(
        label=_("Code from your authenticator"),
        required=False,
        max_length=16,
        help_text=_("Only when you have set up a second factor."),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
    clinic = forms.ChoiceField(label=_("Clinic"), required=False)

    def __init__(self, *args, clinics=(), **kwargs):
        super().__init__(*args, **kwargs)
        if clinics:
            self.fields["clinic"].choices = [(clinic.slug, clinic.name) for clinic in clinics]
            self.fields["clinic"].required = True
        else:
            del self.fields["clinic"]
