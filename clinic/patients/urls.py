from django.urls import path

from . import pages, restricted_pages

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
    path("<uuid:patient_id>/restrict/", restricted_pages.restrict_chart, name="restrict"),
    path("<uuid:patient_id>/lift-restriction/", restricted_pages.lift_restriction, name="lift"),
    path("<uuid:patient_id>/allowed/", restricted_pages.allowed_members, name="allowed"),
    path("<uuid:patient_id>/allowed/<uuid:member_id>/end/", restricted_pages.disallow_member, name="disallow"),
    path("<uuid:patient_id>/take-over/", restricted_pages.take_over_list, name="take_over"),
    path("<uuid:patient_id>/break-glass/", restricted_pages.break_glass, name="break_glass"),
    path("<uuid:patient_id>/end-emergency/", restricted_pages.end_emergency_access, name="end_emergency"),
    path("<uuid:patient_id>/link-account/", restricted_pages.link_account, name="link_account"),
    path("<uuid:patient_id>/unlink-account/", restricted_pages.unlink_account, name="unlink_account"),
    path("emergency-access/", restricted_pages.emergency_accesses, name="emergencies"),
    path("emergency-access/<uuid:access_id>/", restricted_pages.emergency_access, name="emergency"),
]
