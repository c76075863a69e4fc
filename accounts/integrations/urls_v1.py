"""Routes of keys and clinics for other servers."""

from tenancy.doors.routers import HouseRouter

from .api import ApiKeyViewSet, TenantViewSet
from .webhook_api import DeliveryViewSet, WebhookViewSet

router = HouseRouter()
router.register("auth/api-keys", ApiKeyViewSet, "api-key")
router.register("tenants", TenantViewSet, "tenant")
router.register("webhooks", WebhookViewSet, "webhook")
router.register("webhook-deliveries", DeliveryViewSet, "webhook-delivery")

urlpatterns = router.urls
