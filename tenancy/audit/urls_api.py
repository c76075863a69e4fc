from tenancy.doors.routers import HouseRouter

from .api import AuditViewSet

router = HouseRouter()
router.register("audit", AuditViewSet, basename="audit")
urlpatterns = router.urls
