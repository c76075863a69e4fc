"""What other programs may hear about appointments (`tenancy.events`): that something happened to which, never what."""

from django.utils.translation import gettext_lazy as _

from tenancy.events.registry import EventType, register

CREATED = register(EventType("appointment.created", _("An appointment was booked or asked for"))).code
UPDATED = register(EventType("appointment.updated", _("An appointment was moved or edited"))).code
STATUS_CHANGED = register(
    EventType("appointment.status_changed", _("An appointment changed its state, cancelled included"))
).code
DELETED = register(EventType("appointment.deleted", _("An appointment was cancelled (what DELETE does)"))).code
