"""The roof: settings, routes, error answers and the background worker.

Config sees every room; no room imports config.
"""

from .celery import app as celery_app

__all__ = ["celery_app"]
