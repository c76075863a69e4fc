"""The background worker. Rooms bring their tasks in `tasks.py`; the schedule stands in settings."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("carewright")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
