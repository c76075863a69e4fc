from django.urls import path

from . import pages

app_name = "patients"
urlpatterns = [
    path("", pages.patient_list, name="list"),
    path("new/", pages.create_patient, name="create"),
    path("<uuid:patient_id>/", pages.patient_chart, name="chart"),
    path("<uuid:patient_id>/edit/", pages.update_patient, name="edit"),
    path("<uuid:patient_id>/archive/", pages.archive_patient, name="archive"),
    path("<uuid:patient_id>/restore/", pages.restore_patient, name="restore"),
    path("<uuid:patient_id>/consent/", pages.record_consent, name="consent"),
    path("<uuid:patient_id>/history/", pages.patient_history, name="history"),
    path("<uuid:patient_id>/looks/", pages.patient_looks, name="looks"),
]
