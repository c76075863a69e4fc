from django.urls import path

from .pages import book, booking, visit

app_name = "scheduling"
urlpatterns = [
    path("agenda/", book.show_agenda, name="agenda"),
    path("appointments/new/", booking.book, name="book"),
    path("appointments/new/patient/", booking.find_patient, name="find_patient"),
    path("appointments/new/hold/", booking.hold, name="hold"),
    path("appointments/new/release/", booking.release, name="release"),
    path("appointments/<uuid:appointment_id>/", visit.appointment, name="appointment"),
    path("appointments/<uuid:appointment_id>/state/", visit.change_state, name="state"),
    path("appointments/<uuid:appointment_id>/undo/", visit.undo, name="undo"),
    path("appointments/<uuid:appointment_id>/cancel/", visit.cancel, name="cancel"),
    path("appointments/<uuid:appointment_id>/move/", visit.move, name="move"),
    path("patients/<uuid:patient_id>/visits/", visit.patient_visits, name="visits"),
]
