from django.urls import path

from . import pages

app_name = "users"
urlpatterns = [
    path("sign-in/", pages.sign_in, name="sign_in"),
    path("clinics/enter/", pages.choose_clinic, name="choose_clinic"),
    path("clinics/leave/", pages.leave_clinic, name="leave_clinic"),
    path("keep-alive/", pages.keep_alive, name="keep_alive"),
    path("account/sign-ins/", pages.sign_ins, name="sign_ins"),
    path("account/sign-ins/end-others/", pages.end_other_sign_ins, name="end_other_sign_ins"),
    path("account/sign-ins/end-all/", pages.end_all_sign_ins, name="end_all_sign_ins"),
    path("account/sign-ins/<uuid:session_id>/end/", pages.end_sign_in, name="end_sign_in"),
    path("sign-out/", pages.sign_out, name="sign_out"),
    path("language/", pages.set_language, name="set_language"),
]
