"""Looking at qualifications from the back door; they are recorded and taken back through the pages."""

from django.contrib import admin

from accounts.permissions import Permission
from accounts.users.admin_site import HouseModelAdmin

from .models import Qualification, QualificationKind


@admin.register(QualificationKind)
class QualificationKindAdmin(HouseModelAdmin):
    needs = Permission.QUALIFICATION_MANAGE
    list_display = ["name", "code", "group", "is_active"]
    list_filter = ["group", "is_active"]
    ordering = ["name", "id"]


@admin.register(Qualification)
class QualificationAdmin(HouseModelAdmin):
    needs = Permission.QUALIFICATION_MANAGE
    list_display = ["membership", "kind", "number", "valid_from", "valid_until", "withdrawn_at"]
    list_filter = ["kind"]
    list_select_related = ["membership__user", "kind"]
    ordering = ["-valid_from", "-id"]
