"""What the pages about webhooks send. Forms check shape; they never save."""

from datetime import datetime, timedelta

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.doors.plain_text import PlainText
from tenancy.events.models import Endpoint
from tenancy.events.registry import ALL, all_types

from .forms import OVERLAPS, OverlapForm

SPANS = [
    ("1", _("the last hour")),
    ("24", _("the last day")),
    ("72", _("the last three days")),
    ("168", _("the last week")),
    ("720", _("the last 30 days")),
]


class WebhookForm(PlainText, forms.Form):
    """Where, for what, and which events."""

    mark_required = False
    kind = forms.ChoiceField(label=_("Sends to"), choices=Endpoint.Kind.choices, initial=Endpoint.Kind.WEB)
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        required=False,
        help_text=_("https://, on the public internet: “https://hooks.example.org/carewright”."),
        widget=forms.TextInput({"inputmode": "url", "autocomplete": "off", "spellcheck": "false", "dir": "ltr"}),
    )
    description = forms.CharField(
        label=_("What it is for"), max_length=200, required=False, help_text=_("“n8n, reminders by chat”.")
    )
    everything = forms.BooleanField(label=_("Every event, those of later releases too"), required=False)
    event_types = forms.MultipleChoiceField(
        label=_("Or only these"),
        choices=[],
        widget=forms.CheckboxSelectMultiple({"class": "in-a-column"}),
        required=False,
    )

    def __init__(self, *args, endpoint: Endpoint | None = None, **kwargs):
        if endpoint is not None:
            types = endpoint.event_types
            kwargs["initial"] = {
                "url": endpoint.url,
                "description": endpoint.description,
                "everything": ALL in types,
                "event_types": types,
            }
        super().__init__(*args, **kwargs)
        self.fields["event_types"].choices = [(known.code, known.words) for known in all_types()]
        if endpoint is not None or not settings.EVENT_QUEUE_URL:
            del self.fields["kind"]
        if endpoint is not None and endpoint.kind == Endpoint.Kind.QUEUE:
            del self.fields["url"]

    def clean(self):
        cleaned = super().clean()
        if not cleaned.get("everything") and not cleaned.get("event_types") and "event_types" not in self.errors:
            self.add_error("event_types", _("Choose at least one event."))
        return cleaned

    def webhook_data(self) -> dict:
        """What the services take."""
        data = {name: self.cleaned_data[name] for name in ("kind", "url", "description") if name in self.cleaned_data}
        everything = self.cleaned_data["everything"]
        return data | {"event_types": [ALL] if everything else self.cleaned_data["event_types"]}


class RotateSecretForm(OverlapForm):
    """How long the old secret signs along."""

    hours = forms.ChoiceField(
        label=_("The old secret is valid for"),
        choices=OVERLAPS,
        help_text=_("Time to put the new secret into the receiver. Meanwhile both sign."),
    )


class ResendForm(forms.Form):
    """Which events are sent again."""

    mark_required = False
    hours = forms.ChoiceField(label=_("What happened in"), choices=SPANS, initial="24")
    only_failed = forms.BooleanField(label=_("Only what never arrived"), required=False, initial=True)

    def span(self) -> dict:
        """What the service takes."""
        since: datetime = timezone.now() - timedelta(hours=int(self.cleaned_data["hours"]))
        return {"since": since, "only_failed": self.cleaned_data["only_failed"]}
