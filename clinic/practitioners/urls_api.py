from tenancy.doors.routers import HouseRouter

from .api import SpecialtyViewSet

router = HouseRouter()
router.register("specialties", SpecialtyViewSet, basename="specialties")
urlpatterns = router.urls
