"""Words for rows: in the language that is active now, from the kind and the values that were kept."""

from dataclasses import dataclass

import structlog
from django.utils.translation import gettext as _

from .kinds import fill, find_kind, one_line
from .models import Notification

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rendered:
    """A title of one line, and a sentence or two."""

    title: str
    body: str


def render(notification: Notification) -> Rendered:
    """The words of one notification. Raises LookupError for a kind this release does not know."""
    kind = find_kind(notification.kind)
    if kind is None:
        raise LookupError(f"There is no kind of notification called {notification.kind}.")
    return Rendered(one_line(fill(kind.title, notification.params)), fill(kind.body, notification.params).strip())


def render_for_list(notification: Notification) -> Rendered:
    """The same, but one row that cannot be put into words does not take the list with it."""
    try:
        return render(notification)
    except Exception as error:
        log.error("notification_not_rendered", kind=notification.kind, error=type(error).__name__)
        return Rendered(_("A notification"), _("Its text can not be shown. Open it to see what it is about."))
