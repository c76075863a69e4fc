from django.urls import path

from . import pages

app_name = "drafts"
urlpatterns = [
    path("", pages.save_draft, name="save"),
    path("discard/", pages.discard_draft, name="discard"),
]
