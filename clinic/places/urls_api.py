from tenancy.doors.routers import HouseRouter

from .api import LocationViewSet, RoomViewSet

router = HouseRouter()
router.register("locations", LocationViewSet, basename="locations")
router.register("rooms", RoomViewSet, basename="rooms")
urlpatterns = router.urls
