"""System checks: what an installation may not be told."""

from django.conf import settings
from django.core import checks


@checks.register(checks.Tags.security)
def check_loopback(app_configs, **kwargs):
    """Webhooks to this very machine are for tests: in production they would open the house from inside (F14)."""
    if settings.WEBHOOK_LOOPBACK and settings.SERVED_OVER_HTTPS:
        return [checks.Error("WEBHOOK_LOOPBACK=true goes only with an http:// PUBLIC_URL.", id="events.E001")]
    return []
