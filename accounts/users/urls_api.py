"""Sign-in routes of the cookie flavour, under /api; `urls_api_token.py` has those under /api/v1."""

from tenancy.doors.routers import both_slashes

from .api import AuthViewSet

urlpatterns = [
    *both_slashes("auth/login", AuthViewSet.as_view({"post": "login"}), "auth-login"),
    *both_slashes("auth/token", AuthViewSet.as_view({"post": "token"}), "auth-token"),
    *both_slashes("auth/refresh", AuthViewSet.as_view({"post": "refresh"}), "auth-refresh"),
    *both_slashes("auth/logout", AuthViewSet.as_view({"post": "logout"}), "auth-logout"),
    *both_slashes("auth/me", AuthViewSet.as_view({"get": "me"}), "auth-me"),
]
