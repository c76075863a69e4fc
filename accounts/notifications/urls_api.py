from tenancy.doors.routers import HouseRouter

from .api import NotificationViewSet

router = HouseRouter()
router.register("notifications", NotificationViewSet, basename="notifications")
urlpatterns = router.urls
