"""What the pages of the second factor may send."""

from django import forms
from django.utils.translation import gettext_lazy as _

CODE_ATTRIBUTES = {"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}


def password_field(**options):
    """The password once more, for a change of what signs somebody in."""
    return forms.CharField(
        label=_("Your password"),
        max_length=256,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        **options,
    )


class SetUpForm(forms.Form):
    """Something new that signs in. The password is asked for where the sign-in itself is too long ago."""

    mark_required = False

    def __init__(self, *args, needs_password: bool, **kwargs):
        super().__init__(*args, **kwargs)
        if needs_password:
            self.fields["password"] = password_field(help_text=_("You signed in a while ago, so we ask again."))

    @property
    def password(self) -> str:
        return self.cleaned_data.get("password", "")


class EnrolForm(SetUpForm):
    """The first code of a new authenticator."""

    code = forms.CharField(
        label=_("Six digits from the app"),
        max_length=16,
        widget=forms.TextInput(attrs={**CODE_ATTRIBUTES, "inputmode": "numeric"}),
    )


class PasskeyForm(SetUpForm):
    """What the browser says about a new passkey, put here by our script, and what the person calls it."""

    name = forms.CharField(
        label=_("Name of the passkey"),
        max_length=64,
        required=False,
        help_text=_("So that you know later which one it is: my telephone, the key on my ring."),
    )
    answer = forms.CharField(max_length=50_000, widget=forms.HiddenInput)


class ConfirmForm(forms.Form):
    """Yes, it is me."""

    mark_required = False
    password = password_field()


class KeptForm(forms.Form):
    """The recovery codes are written down."""

    mark_required = False
    kept = forms.BooleanField(
        label=_("I have kept these codes where nobody else finds them"),
        error_messages={"required": _("Keep the codes first. You cannot see them again.")},
    )


class ChallengeForm(forms.Form):
    """A code of the second factor, or instead of it what the browser says for a passkey."""

    mark_required = False
    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        required=False,
        help_text=_("The six digits in your authenticator app, or one of your recovery codes."),
        widget=forms.TextInput(attrs={**CODE_ATTRIBUTES, "autofocus": True}),
    )
    answer = forms.CharField(max_length=50_000, required=False, widget=forms.HiddenInput)

    def clean(self):
        given = super().clean()
        if not given.get("code") and not given.get("answer") and "code" not in self.errors:
            self.add_error("code", _("Enter a code."))
        return given


class ResetForm(forms.Form):
    """Why somebody's second factor is taken away."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("For example: lost the telephone, spoke with her in person. Other administrators can read it."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
