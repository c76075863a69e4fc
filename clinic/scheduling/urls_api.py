from tenancy.doors.routers import HouseRouter, both_slashes

from .api.appointment_types import AppointmentTypeViewSet
from .api.appointments import AppointmentViewSet
from .api.doctors import DoctorViewSet
from .api.schedules import ScheduleViewSet
from .api.slots import DaySlotsViewSet

router = HouseRouter()
router.register("doctors", DoctorViewSet, basename="doctors")
router.register("appointments", AppointmentViewSet, basename="appointments")
router.register("appointment-types", AppointmentTypeViewSet, basename="appointment-types")
router.register("schedules", ScheduleViewSet, basename="schedules")
urlpatterns = [
    *router.urls,
    *both_slashes("slots", DaySlotsViewSet.as_view({"get": "list"}), "slots"),
]
