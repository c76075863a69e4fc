"""What this room tells administrators: a webhook that has stopped by itself (security.md WH-12)."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.notifications.kinds import Kind, register
from accounts.notifications.selectors import list_administrators
from accounts.notifications.services import notify
from tenancy.events.models import Endpoint

WEBHOOK_PAUSED = register(
    Kind(
        "webhook_paused",
        "system",
        title=_("A webhook was paused: nothing arrives there"),
        body=_(
            "Nothing has arrived at %(host)s for days, so it is not tried any more. What happens meanwhile is put aside"
            " for up to 30 days. When the receiver works again, let the webhook go on."
        ),
        priority="high",
    )
)
WEBHOOK_DISABLED = register(
    Kind(
        "webhook_disabled",
        "system",
        title=_("A webhook was switched off: its receiver is gone"),
        body=_("%(host)s answered that it is gone for good. Nothing is sent there, and nothing is put aside for it."),
        priority="high",
    )
)
WEBHOOK_SEALED = register(
    Kind(
        "webhook_sealed",
        "system",
        title=_("A webhook was paused: its secret can not be opened"),
        body=_("The key of this installation has changed. Give the webhook for %(host)s a new secret, then resume it."),
        priority="high",
    )
)

KINDS = {
    Endpoint.Why.FAILING: WEBHOOK_PAUSED,
    Endpoint.Why.GONE: WEBHOOK_DISABLED,
    Endpoint.Why.SEALED: WEBHOOK_SEALED,
}


def tell_of_stopped_endpoint(endpoint: Endpoint) -> None:
    """Tell the clinic's administrators, once for each time it stops."""
    notify(
        KINDS[Endpoint.Why(endpoint.why)],
        list_administrators(),
        params={"host": endpoint.url.split("/")[2]},
        url=reverse("integrations:webhook", args=[endpoint.pk]),
        about=endpoint,
        event=f"webhook:{endpoint.pk}:{endpoint.version}",
    )
