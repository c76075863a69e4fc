"""The back door: stock Django admin behind the second factor (decision "Second factor")."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django_otp.admin import OTPAdminSite

from accounts.permissions import Permission
from tenancy.doors.paging import capped_count

from . import sessions

MOST_COUNTED = 2_500


class CarewrightAdminSite(OTPAdminSite):
    """Members whose role may manage the clinic, with a verified second factor; the demo lets them in without."""

    site_header = site_title = _("Carewright administration")
    index_title = _("This clinic")
    site_url = "/"

    def register(self, model_or_iterable, admin_class=None, **options):
        """Only pages of the house: those that come with Django and its apps show what belongs to no clinic."""
        if admin_class is not None and issubclass(admin_class, HouseModelAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def login(self, request, extra_context=None):
        """There is one sign-in page. Somebody who is signed in and still may not enter is told so."""
        if getattr(request, "member", None) is not None:
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next", reverse("admin:index")), reverse("users:sign_in"))

    def logout(self, request, extra_context=None):
        """Signing out here ends the session row as well, as it does on the page."""
        if request.method == "POST" and request.sign_in:
            sessions.revoke_session(request.sign_in, by=request.member)
        return super().logout(request, extra_context)

    def password_change(self, request, extra_context=None):
        """A password is changed by a service, which ends the other sessions and leaves a line in the trail."""
        raise Http404

    password_change_done = password_change

    def autocomplete_view(self, request):
        """No page of ours asks it, so nobody else needs to."""
        raise Http404

    def has_permission(self, request):
        member = getattr(request, "member", None)
        if member is None or not member.may(Permission.ADMIN_SITE):
            return False
        return not request.must_enrol and (settings.DEMO or bool(request.sign_in.second_factor))


class CappedPaginator(Paginator):
    """Counts to 2,500 and no further: a hundred pages are more than anybody turns; a whole count reads every row."""

    @cached_property
    def count(self):
        return capped_count(self.object_list, MOST_COUNTED)[0]


class ReadOnlyInline(admin.TabularInline):
    """Rows that belong to the one shown, for looking only."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_view_permission(self, request, obj=None):
        return True


class HouseModelAdmin(admin.ModelAdmin):
    """An admin page inside the clinic of the request. Looking needs `ADMIN_SITE`; nothing is ever deleted here.

    `needs` is what looking at these very rows asks for besides: the platform may enter the admin and sees no patient.
    A list is in the one order that an index gives; `sortable_by` names columns that have an index of their own
    (`make bench`, admin: every list with 200,000 rows).
    """

    needs = Permission.ADMIN_SITE

    show_full_result_count = False
    list_per_page = 25
    list_max_show_all = 0
    paginator = CappedPaginator
    sortable_by = ()

    def has_view_permission(self, request, obj=None):
        member = request.member
        return member is not None and member.may(Permission.ADMIN_SITE) and member.may(self.needs)

    def has_module_permission(self, request):
        return self.has_view_permission(request)

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def get_actions(self, request):
        return {}

    def lookup_allowed(self, lookup, value, request):
        """Only the filters this page offers, by name in `list_filter`; anything else in the address is a 400.

        Django would take any lookup on any column of the row: that reads a
        hidden column letter by letter, and a broken one breaks the statement.
        """
        offered = {f"{name}{how}" for name in self.get_list_filter(request) for how in ("", "__exact", "__isnull")}
        return lookup in offered and "\0" not in value


class EditableModelAdmin(HouseModelAdmin):
    """Reference data that an administrator may add and change here."""

    def has_add_permission(self, request, obj=None):
        return self.has_view_permission(request)

    def has_change_permission(self, request, obj=None):
        return self.has_view_permission(request)
