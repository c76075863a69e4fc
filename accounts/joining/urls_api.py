"""Routes of both flavours: `/api` and `/api/v1` register and set passwords alike."""

from tenancy.doors.routers import both_slashes

from .api import InvitationViewSet, PasswordViewSet, RegistrationViewSet

urlpatterns = [
    *both_slashes("auth/register", RegistrationViewSet.as_view({"post": "register"}), "auth-register"),
    *both_slashes("auth/confirm-email", RegistrationViewSet.as_view({"post": "confirm_email"}), "auth-confirm-email"),
    *both_slashes("auth/password/reset", PasswordViewSet.as_view({"post": "reset"}), "auth-password-reset"),
    *both_slashes(
        "auth/password/reset/confirm", PasswordViewSet.as_view({"post": "confirm_reset"}), "auth-password-set"
    ),
    *both_slashes("auth/password/change", PasswordViewSet.as_view({"post": "change"}), "auth-password-change"),
    *both_slashes("invitations", InvitationViewSet.as_view({"get": "list", "post": "create"}), "invitations"),
    *both_slashes("invitations/<uuid:pk>", InvitationViewSet.as_view({"delete": "destroy"}), "invitation"),
    *both_slashes("invitations/<uuid:pk>/resend", InvitationViewSet.as_view({"post": "resend"}), "invitation-resend"),
]
