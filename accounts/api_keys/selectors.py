"""Reading keys. None of them ever has its text."""

from typing import Any

from django.http import Http404

from .models import ApiKey, ApiKeyQuerySet, PlatformKey


def list_keys() -> ApiKeyQuerySet:
    """All keys of the clinic, ended ones too, newest first."""
    return ApiKey.objects.select_related("created_by__user").order_by("-created_at", "-id")


def get_key(pk: Any) -> ApiKey:
    """One key. Raises Http404 for unknown and foreign ids alike."""
    key = list_keys().filter(pk=pk).first()
    if key is None:
        raise Http404
    return key


def find_platform_key(prefix: str) -> PlatformKey | None:
    """The platform key with this prefix, ended or not."""
    return PlatformKey.objects.filter(prefix=prefix).first()
