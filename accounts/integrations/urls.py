from django.urls import path

from . import key_pages, webhook_pages

app_name = "integrations"
urlpatterns = [
    path("", key_pages.keys, name="keys"),
    path("keys/new/", key_pages.create_key, name="create_key"),
    path("keys/<uuid:key_id>/", key_pages.key_detail, name="key"),
    path("keys/<uuid:key_id>/rotate/", key_pages.rotate_key, name="rotate_key"),
    path("keys/<uuid:key_id>/revoke/", key_pages.revoke_key, name="revoke_key"),
    path("webhooks/", webhook_pages.webhooks, name="webhooks"),
    path("webhooks/new/", webhook_pages.create_webhook, name="create_webhook"),
    path("webhooks/<uuid:webhook_id>/", webhook_pages.webhook_detail, name="webhook"),
    path("webhooks/<uuid:webhook_id>/change/", webhook_pages.change_webhook, name="change_webhook"),
    path("webhooks/<uuid:webhook_id>/secret/", webhook_pages.rotate_secret, name="rotate_secret"),
    path("webhooks/<uuid:webhook_id>/pause/", webhook_pages.pause_webhook, name="pause_webhook"),
    path("webhooks/<uuid:webhook_id>/resume/", webhook_pages.resume_webhook, name="resume_webhook"),
    path("webhooks/<uuid:webhook_id>/test/", webhook_pages.test_webhook, name="test_webhook"),
    path("webhooks/<uuid:webhook_id>/resend/", webhook_pages.resend_range, name="resend_range"),
    path("webhooks/<uuid:webhook_id>/delete/", webhook_pages.delete_webhook, name="delete_webhook"),
    path("deliveries/", webhook_pages.deliveries, name="deliveries"),
    path("deliveries/<uuid:delivery_id>/", webhook_pages.delivery_detail, name="delivery"),
    path("deliveries/<uuid:delivery_id>/resend/", webhook_pages.resend_delivery, name="resend_delivery"),
]
