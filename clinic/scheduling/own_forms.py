"""What patients send about their own visits."""

from django import forms
from django.utils.translation import gettext_lazy as _

from tenancy.doors.plain_text import PlainText


class ReasonForm(PlainText, forms.Form):
    """What a visit is about, in the patient's words; it may be left out."""

    reason = forms.CharField(
        label=_("What is it about?"),
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("You may leave it out. The team reads it before they see you."),
    )


class AskForm(ReasonForm):
    """A request. The key is the same for every press of one button."""

    submit_key = forms.UUIDField(widget=forms.HiddenInput)


class CancelOwnForm(PlainText, forms.Form):
    """Why a patient cancels; it may be left out."""

    reason = forms.CharField(
        label=_("Why do you cancel?"),
        required=False,
        max_length=250,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("You may leave it out."),
    )
