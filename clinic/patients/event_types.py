"""What other programs may hear about patients (`tenancy.events`): that something happened to which, never what."""

from django.utils.translation import gettext_lazy as _

from tenancy.events.registry import EventType, register

CREATED = register(EventType("patient.created", _("A patient was registered"))).code
UPDATED = register(EventType("patient.updated", _("A patient's details were changed"))).code
STATUS_CHANGED = register(
    EventType("patient.status_changed", _("A chart was archived, restored, restricted or opened again"))
).code
DELETED = register(EventType("patient.deleted", _("A patient was archived (what DELETE does)"))).code
