from tenancy.doors.routers import HouseRouter, both_slashes

from .api_v1 import AppointmentLookupViewSet, AppointmentViewSet

router = HouseRouter()
router.register("appointments", AppointmentViewSet, basename="appointments")
urlpatterns = [
    *router.urls,
    *(
        route
        for name, action in AppointmentLookupViewSet.lists.items()
        for door in ("lookups", "lookup")
        for route in both_slashes(f"{door}/{name}", AppointmentLookupViewSet.as_view({"get": action}), f"{door}-{name}")
    ),
]
