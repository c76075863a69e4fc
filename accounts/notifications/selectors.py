"""Reading notifications, always somebody's own; and mails, for administrators."""

import uuid
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.shortcuts import get_object_or_404

from accounts.permissions import Permission
from tenancy.tenants.numbering import by_number_or_id

from .kinds import CATEGORIES, all_kinds
from .models import Delivery, Notification, Preference

MOST_COUNTED = 100


def list_notifications(*, by: Any, unread: bool | None = None) -> QuerySet[Notification]:
    """What this member has in the inbox; with `unread` only that, or (False) only what was read."""
    found = Notification.objects.inbox_of(by).annotate(
        is_new=ExpressionWrapper(Q(read_at__isnull=True), output_field=BooleanField())
    )
    return found if unread is None else found.filter(read_at__isnull=unread)


def get_notification(key: uuid.UUID | int | str, *, by: Any) -> Notification:
    """One of this member's own, by id or by number. Raises Http404 for anybody else's."""
    return get_object_or_404(Notification.objects.filter(recipient=by), **by_number_or_id(key))


def count_unread(member: Any) -> int:
    """How many unread ones, up to 100: the bell says "99+" beyond. One look at one index."""
    return Notification.objects.inbox_of(member).unread().order_by()[:MOST_COUNTED].count()


def newest_number(member: Any) -> int:
    """The number of the newest one in the inbox, 0 for none: what "mark all as read" reaches up to."""
    newest = Notification.objects.inbox_of(member).order_by("-number").values_list("number", flat=True).first()
    return newest or 0


def list_choices(member: Any) -> dict[str, str]:
    """The member's choice for each category in which there is one: code to mode."""
    chosen = dict(
        Preference.objects.filter(membership=member, channel=Preference.Channel.MAIL).values_list("category", "mode")
    )
    open_to_choice = {kind.category for kind in all_kinds() if kind.mutable and kind.mail != "no"}
    return {code: chosen.get(code, Preference.Mode.USUAL.value) for code in CATEGORIES if code in open_to_choice}


def list_administrators() -> list[Any]:
    """Active members who may look after the settings of this clinic."""
    members = _members().active()
    code = str(Permission.ADMIN_SITE)
    likely = members.filter(
        Q(held_roles__role__permissions__contains=[code])
        | Q(grants__permission=code)
        | Q(group_memberships__group__permissions__contains=[code])
    )
    return [member for member in likely.distinct().select_related("user") if member.may(code)]


def _members() -> Any:
    """Members by their rows only: the room they live in stands above this one."""
    model: Any = Notification._meta.get_field("recipient").related_model
    return model.objects


def list_undelivered() -> QuerySet[Delivery]:
    """Mails that were given up, newest first."""
    return Delivery.objects.failed().select_related("recipient__user").order_by("-created_at", "-pk")


def get_delivery(pk: uuid.UUID) -> Delivery:
    """A mail of this clinic. Raises Http404."""
    return get_object_or_404(Delivery, pk=pk)
