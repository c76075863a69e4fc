from django.contrib import admin

from .admin_site import HouseModelAdmin
from .models import Membership, Role, Session


@admin.register(Membership)
class MembershipAdmin(HouseModelAdmin):
    list_display = ["user", "department", "specialization", "is_active", "created_at"]
    list_select_related = ["user"]
    list_filter = ["is_active"]
    search_fields = ["user__email_key__startswith", "user__username_key__startswith"]
    ordering = ["id"]


@admin.register(Role)
class RoleAdmin(HouseModelAdmin):
    list_display = ["name", "code", "is_built_in"]
    ordering = ["code"]


@admin.register(Session)
class SessionAdmin(HouseModelAdmin):
    list_display = ["membership", "kind", "device", "address", "created_at", "last_seen_at", "revoked_at"]
    list_select_related = ["membership__user"]
    exclude = ["refresh_jti"]
    ordering = ["-created_at"]
