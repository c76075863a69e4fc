"""The routes of the API, one line a room.

`/api/` is the cookie flavour. `/api/v1/` has the same rooms, with the token
flavour of `auth/` (decision C9) where that room brings it. `/v1/` is the door
for other servers. A room's `urls_api.py` uses `HouseRouter` or `both_slashes`.
"""

from django.urls import include, path

from . import openapi  # noqa: F401  (registers the credentials with drf-spectacular)

ROOMS = [
    path("", include("accounts.team.urls_api")),
    path("", include("accounts.joining.urls_api")),
    path("", include("accounts.second_factor.urls_api")),
    path("", include("accounts.notifications.urls_api")),
    path("", include("tenancy.audit.urls_api")),
    path("", include("clinic.patients.urls_api")),
    path("", include("clinic.practitioners.urls_api")),
    path("", include("clinic.places.urls_api")),
    path("", include("clinic.scheduling.urls_api")),
]

cookie_flavour = [path("", include("accounts.users.urls_api")), *ROOMS]
token_flavour = [path("", include("accounts.users.urls_api_token")), *ROOMS]
