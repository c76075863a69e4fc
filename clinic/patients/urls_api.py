from tenancy.doors.routers import HouseRouter

from .api import PatientViewSet

router = HouseRouter()
router.register("patients", PatientViewSet, basename="patients")
urlpatterns = router.urls
