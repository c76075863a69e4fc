from django.urls import path

from . import pages

app_name = "home"
urlpatterns = [path("", pages.today, name="today")]
