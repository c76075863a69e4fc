from django.urls import path

from . import pages

app_name = "second_factor"
urlpatterns = [
    path("sign-in/second-factor/", pages.challenge, name="challenge"),
    path("sign-in/second-factor/passkey/", pages.begin_challenge, name="begin_challenge"),
    path("account/security/", pages.security, name="security"),
    path("account/security/enrol/", pages.enrol, name="enrol"),
    path("account/security/switch-off/", pages.disable_authenticator, name="disable"),
    path("account/security/recovery-codes/", pages.renew_recovery_codes, name="renew_codes"),
    path("account/security/recovery-codes/kept/", pages.keep_recovery_codes, name="keep_codes"),
    path("account/security/passkeys/begin/", pages.begin_passkey, name="begin_passkey"),
    path("account/security/passkeys/add/", pages.add_passkey, name="add_passkey"),
    path("account/security/passkeys/<int:pk>/remove/", pages.remove_passkey, name="remove_passkey"),
    path("people/<uuid:pk>/second-factor/reset/", pages.reset_second_factor, name="reset"),
]
