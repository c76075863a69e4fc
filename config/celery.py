"""The background worker. Rooms bring their tasks in `tasks.py`; the schedule stands in settings."""

import os

from celery import Celery
from celery.signals import worker_init
from django.dispatch import receiver
from django_structlog.celery.signals import modify_context_before_task_publish
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

NICENESS = 5
"""How far the worker stands behind the web where they share processors: nobody waits for it with their eyes open."""

app = Celery("carewright")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


@receiver(modify_context_before_task_publish)
def _keep_request_id(context, **_kwargs):
    # Imported late: logs needs settings, and this module is imported by the package that holds them.
    from .logs import keep_request_id

    keep_request_id(context)


@worker_init.connect
def _give_way(**_kwargs):
    os.nice(NICENESS)  # before it starts its processes, which inherit it
