"""The clock door of sign-ins. The schedule stands in settings."""

from celery import shared_task


@shared_task
def clear_expired_sessions():
    """Drop what browsers no longer come back for. The rows of who was signed in when stay: they are ours."""
    from .session_store import SessionStore

    SessionStore.clear_expired()
