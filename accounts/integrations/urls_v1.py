"""Routes of keys and clinics for other servers."""

from tenancy.doors.routers import HouseRouter

from .api import ApiKeyViewSet, TenantViewSet

router = HouseRouter()
router.register("auth/api-keys", ApiKeyViewSet, "api-key")
router.register("tenants", TenantViewSet, "tenant")

urlpatterns = router.urls
