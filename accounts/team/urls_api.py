"""Routes of people, roles, permissions and groups."""

from tenancy.doors.routers import HouseRouter

from .api import GroupViewSet, PermissionViewSet, RoleViewSet, UserViewSet

router = HouseRouter()
router.register("users", UserViewSet, "user")
router.register("roles", RoleViewSet, "role")
router.register("permissions", PermissionViewSet, "permission")
router.register("groups", GroupViewSet, "group")

urlpatterns = router.urls
