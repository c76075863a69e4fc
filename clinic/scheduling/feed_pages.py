"""The door of calendar programs. They bring no session: the address is the secret, and names the clinic."""

from django.http import Http404, HttpResponse, HttpResponseNotModified
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.http import require_safe

from accounts.guards import public
from tenancy.doors.limits import Limit, client_address
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant

from . import feeds
from .calendars import etag_of

FEEDS_READ = Limit("calendar-feeds", "120/h", fail="open")


@public(
    "A calendar program brings no session: the address holds a secret that was given out for it and can be revoked."
)
@require_safe
def calendar(request, token):
    """The calendar behind a secret address; 404 where it was revoked or never given out, 304 where nothing changed."""
    usage = FEEDS_READ.hit(client_address(request))
    if not usage.allowed:
        return HttpResponse(_("Too many requests."), status=429, headers={"Retry-After": str(usage.retry_after)})
    parts = feeds.split_token(token)
    content = _content(*parts) if parts else None
    if content is None:
        raise Http404
    etag = etag_of(content)
    headers = {"ETag": etag}
    if _is_known(request, etag):
        return HttpResponseNotModified(headers=headers)
    headers["Content-Disposition"] = 'inline; filename="calendar.ics"'
    return HttpResponse(content, content_type="text/calendar; charset=utf-8", headers=headers)


def _content(tenant_id, secret):
    """The file in the language of the clinic, so that its hash does not depend on who asks."""
    tenant = Tenant.objects.filter(pk=tenant_id, is_active=True).first()
    if tenant is None:
        return None
    with tenant_context(tenant.pk), override(tenant.language):
        return feeds.read_feed(secret)


def _is_known(request, etag):
    seen = request.headers.get("If-None-Match", "")
    return etag in {entry.strip().removeprefix("W/") for entry in seen.split(",")}
