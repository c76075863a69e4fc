"""The waiting list."""

from django.urls import path

from . import waiting_pages as pages

app_name = "waiting"
urlpatterns = [
    path("", pages.waiting_list, name="list"),
    path("new/", pages.find_patient, name="find"),
    path("new/<uuid:patient_id>/", pages.add_entry, name="add"),
    path("<uuid:entry_id>/withdraw/", pages.withdraw, name="withdraw"),
    path("<uuid:entry_id>/offers/<uuid:offer_id>/accept/", pages.accept, name="accept"),
    path("<uuid:entry_id>/offers/<uuid:offer_id>/decline/", pages.decline, name="decline"),
]
