from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from .platform import SHORTEST_REASON


class SignInForm(forms.Form):
    """E-mail address or user name, and password. The page of the second factor asks for the code."""

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


def role_choices(roles):
    """Choices of checkboxes: each role with what it is for, so that nobody has to guess what they give."""
    words = '<span>{} <span class="quiet">{}</span></span>'
    return [(role.code, format_html(words, role.label, role.purpose) if role.purpose else role.label) for role in roles]


class VisitForm(forms.Form):
    """A platform administrator enters a clinic, and says why."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        min_length=SHORTEST_REASON,
        help_text=_("The clinic reads this: in its trail, and its administrators are told."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
