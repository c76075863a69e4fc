"""Under `/api/` and `/api/v1/` alike."""

from tenancy.doors.routers import both_slashes

from .api import ResetViewSet, TotpViewSet

urlpatterns = [
    *both_slashes("auth/totp/setup", TotpViewSet.as_view({"post": "setup"}), "totp-setup"),
    *both_slashes("auth/totp/verify", TotpViewSet.as_view({"post": "verify"}), "totp-verify"),
    *both_slashes("auth/totp/disable", TotpViewSet.as_view({"post": "disable"}), "totp-disable"),
    *both_slashes(
        "auth/totp/recovery-codes", TotpViewSet.as_view({"post": "renew_recovery_codes"}), "totp-recovery-codes"
    ),
    *both_slashes(
        "users/<uuid:pk>/second-factor/reset", ResetViewSet.as_view({"post": "reset"}), "user-second-factor-reset"
    ),
]
