from django.urls import path

from . import key_pages

app_name = "integrations"
urlpatterns = [
    path("", key_pages.keys, name="keys"),
    path("keys/new/", key_pages.create_key, name="create_key"),
    path("keys/<uuid:key_id>/", key_pages.key_detail, name="key"),
    path("keys/<uuid:key_id>/rotate/", key_pages.rotate_key, name="rotate_key"),
    path("keys/<uuid:key_id>/revoke/", key_pages.revoke_key, name="revoke_key"),
]
