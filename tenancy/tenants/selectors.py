"""Finding the clinic, before anybody is inside of one."""

from django.conf import settings
from django.db.models import QuerySet

from .models import Tenant


def list_active_tenants() -> QuerySet[Tenant]:
    """All clinics that are open for work, by name."""
    return Tenant.objects.filter(is_active=True).order_by("name")


def find_tenant(*, named: str | None = None, header: str | None = None, host: str | None = None) -> Tenant | None:
    """The clinic of an anonymous request, or None.

    In this order (spec/decisions.md): the slug in the body, the `X-Tenant`
    slug, the host's subdomain, the only active clinic. A slug that is given but
    unknown gives None and never falls through to the next.
    """
    slug = named or header or _subdomain(host)
    if slug:
        return list_active_tenants().filter(slug=slug.strip().lower()[:40]).first() if "\x00" not in slug else None
    first_two = list(list_active_tenants()[:2])
    return first_two[0] if len(first_two) == 1 else None


def _subdomain(host: str | None) -> str:
    name = (host or "").partition(":")[0].lower()
    base = settings.BASE_DOMAIN.lower()
    return name.removesuffix(f".{base}") if base and name.endswith(f".{base}") else ""
