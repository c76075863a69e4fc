from django.urls import path

from . import pages

app_name = "notifications"
urlpatterns = [
    path("notifications/", pages.inbox, name="inbox"),
    path("notifications/count/", pages.count, name="count"),
    path("notifications/read/", pages.mark_all_read, name="mark_all_read"),
    path("notifications/undelivered/", pages.undelivered, name="undelivered"),
    path("notifications/undelivered/<uuid:delivery_id>/retry/", pages.retry_delivery, name="retry"),
    path("notifications/<uuid:notification_id>/", pages.open_notification, name="open"),
    path("notifications/<uuid:notification_id>/read/", pages.mark_read, name="mark_read"),
    path("account/notifications/", pages.preferences, name="preferences"),
    path("mails/", pages.mails, name="mails"),
    path("mails/<slug:name>/", pages.mail, name="mail"),
]
