"""Sign-in routes of the token flavour, under /api/v1 only (decision C9)."""

from tenancy.doors.routers import both_slashes

from .api import TokenAuthViewSet

urlpatterns = [
    *both_slashes("auth/login", TokenAuthViewSet.as_view({"post": "login"}), "auth-login"),
    *both_slashes("auth/refresh", TokenAuthViewSet.as_view({"post": "refresh"}), "auth-refresh"),
    *both_slashes("auth/logout", TokenAuthViewSet.as_view({"post": "logout"}), "auth-logout"),
    *both_slashes("auth/me", TokenAuthViewSet.as_view({"get": "me"}), "auth-me"),
]
