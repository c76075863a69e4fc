from django.urls import path

from . import pages

app_name = "users"
urlpatterns = [
    path("sign-in/", pages.sign_in, name="sign_in"),
    path("sign-out/", pages.sign_out, name="sign_out"),
    path("language/", pages.set_language, name="set_language"),
]
