"""Looking at people, roles and sign-ins from the back door. They change by the pages of the team room."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.notifications.models import Delivery

from .admin_site import HouseModelAdmin
from .models import Grant, Group, GroupMember, HeldRole, Membership, Role, Session, User, identity_key


class ByPerson(HouseModelAdmin):
    """A list of what belongs to a person, found by the beginning of their e-mail address or user name.

    `person_path` leads from the row to the person.
    """

    person_path = "membership__user"
    search_help_text = _("The beginning of an e-mail address or user name")

    def get_search_fields(self, request):
        return [f"{self.person_path}__email_key", f"{self.person_path}__username_key"]

    def get_search_results(self, request, queryset, search_term):
        key = identity_key(search_term)
        if not key:
            return queryset, False
        # Two small lists instead of one OR over the join: each is a walk along an index.
        found = [
            User.objects.filter(**{f"{column}__startswith": key[:300]}).values_list("id", flat=True)[:MOST_FOUND]
            for column in ("email_key", "username_key")
        ]
        ids = {pk for people in found for pk in people}
        return queryset.filter(**{f"{self.person_path}__in": ids} if self.person_path else {"pk__in": ids}), False


MOST_FOUND = 200


@admin.register(User)
class UserAdmin(ByPerson):
    """The accounts of this clinic's people; those of nobody here are not shown."""

    person_path = ""
    list_display = ["name", "email", "is_active", "has_second_factor", "created_at"]
    fields = ["name", "username", "email", "phone", "language", "is_active", "has_second_factor", "created_at"]
    readonly_fields = ["has_second_factor", "created_at"]
    ordering = ["memberships__id"]

    def get_search_fields(self, request):
        return ["email_key", "username_key"]

    def get_queryset(self, request):
        return User.objects.filter(memberships__tenant=request.tenant)


@admin.register(Membership)
class MembershipAdmin(ByPerson):
    person_path = "user"
    list_display = ["user", "department", "specialization", "is_active", "created_at"]
    list_select_related = ["user"]
    list_filter = ["is_active"]
    ordering = ["id"]


@admin.register(Role)
class RoleAdmin(HouseModelAdmin):
    list_display = ["number", "name", "code", "is_built_in"]
    ordering = ["number"]


@admin.register(HeldRole)
class HeldRoleAdmin(ByPerson):
    list_display = ["membership", "role"]
    list_select_related = ["membership__user", "role"]
    ordering = ["-id"]


@admin.register(Grant)
class GrantAdmin(ByPerson):
    list_display = ["membership", "permission", "is_denial", "reason", "valid_from", "valid_until", "ended_at"]
    list_select_related = ["membership__user"]
    ordering = ["-id"]


@admin.register(Group)
class GroupAdmin(HouseModelAdmin):
    list_display = ["number", "name", "kind", "is_active"]
    ordering = ["number"]


@admin.register(GroupMember)
class GroupMemberAdmin(ByPerson):
    list_display = ["group", "membership", "joined_at", "ended_at"]
    list_select_related = ["group", "membership__user"]
    ordering = ["-id"]


@admin.register(Session)
class SessionAdmin(ByPerson):
    list_display = ["membership", "kind", "device", "address", "created_at", "last_seen_at", "revoked_at"]
    list_select_related = ["membership__user"]
    exclude = ["refresh_jti", "previous_jti"]
    ordering = ["-id"]


@admin.register(Delivery)
class DeliveryAdmin(HouseModelAdmin):
    """Mails of the notifications room, which stands below this one: what became of them, never what they say."""

    list_display = [
        "created_at",
        "recipient",
        "address",
        "channel",
        "kind",
        "state",
        "attempts",
        "last_error",
        "sent_at",
    ]
    list_select_related = ["recipient__user"]
    list_filter = ["state", "channel"]
    fields = ["channel", "recipient", "address", "kind", "state", "attempts", "next_try_at", "last_error", "sent_at"]
    ordering = ["-created_at", "-id"]
