from tenancy.doors.routers import HouseRouter, both_slashes

from .api_v1 import PatientLookupViewSet, PatientViewSet

router = HouseRouter()
router.register("patients", PatientViewSet, basename="patients")
urlpatterns = [
    *router.urls,
    *(
        route
        for name, action in PatientLookupViewSet.lists.items()
        for door in ("lookups", "lookup")
        for route in both_slashes(f"{door}/{name}", PatientLookupViewSet.as_view({"get": action}), f"{door}-{name}")
    ),
]
