"""The table of contents: one line a room."""

from django.contrib import admin
from django.urls import include, path, re_path

from clinic.scheduling.feed_pages import calendar
from tenancy.doors.routers import both_slashes

from . import api, errors, openapi

urlpatterns = [
    path("", include("config.home.urls")),
    path("", include("accounts.users.urls")),
    path("drafts/", include("accounts.drafts.urls")),
    path("", include("accounts.second_factor.urls")),
    path("", include("accounts.notifications.urls")),
    path("", include("accounts.joining.urls")),
    path("", include("accounts.team.urls")),
    path("integrations/", include("accounts.integrations.urls")),
    path("patients/", include("clinic.patients.urls")),
    path("", include("clinic.scheduling.urls")),
    path("", include("accounts.qualifications.urls")),
    path("practitioners/", include("clinic.scheduling.urls_practitioners")),
    path("clinic/", include("clinic.scheduling.urls_rules")),
    path("my/visits/", include("clinic.scheduling.urls_own")),
    path("waiting-list/", include("clinic.scheduling.urls_waiting")),
    path("calendar/<str:token>.ics", calendar, name="calendar"),
    path("look/", include("config.look.urls")),
    path("admin/", admin.site.urls),
    path("api/openapi.json", openapi.openapi_json, name="openapi"),
    path("v1/openapi.json", openapi.openapi_json, {"for_servers": True}, name="openapi_for_servers"),
    *both_slashes("docs", openapi.swagger, "docs"),
    *both_slashes("api/docs", openapi.swagger),
    *both_slashes("redoc", openapi.reference, "redoc"),
    *both_slashes("api/redoc", openapi.reference),
    path("api/v1/", include((api.token_flavour, "api_v1"))),
    path("api/", include((api.cookie_flavour, "api"))),
    path("v1/", include((api.integration, "v1"))),
    re_path(r"^(?P<unknown>(?:api|v1|fhir)(?:/.*)?)$", errors.api_not_found),
]

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.failure
