from django.urls import path

from . import pages

app_name = "joining"
urlpatterns = [
    path("people/invite/", pages.invite, name="invite"),
    path("people/invite/<uuid:invitation_id>/resend/", pages.resend_invitation, name="resend"),
    path("people/invite/<uuid:invitation_id>/withdraw/", pages.withdraw_invitation, name="withdraw"),
    path("join/", pages.register, name="register"),
    path("join/sent/", pages.registered, name="registered"),
    path("join/<str:token>/", pages.accept, name="accept"),
    path("confirm-email/<str:token>/", pages.confirm_email, name="confirm_email"),
    path("password-reset/", pages.reset_password, name="reset_password"),
    path("password-reset/sent/", pages.reset_sent, name="reset_sent"),
    path("password-reset/<str:uid>/<str:token>/", pages.set_password, name="set_password"),
    path("account/password/", pages.change_password, name="change_password"),
    path("account/e-mail/", pages.change_email, name="change_email"),
]
