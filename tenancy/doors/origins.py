"""Whether a browser says that a request was made by another site (decision X5)."""

from urllib.parse import urlsplit

from django.conf import settings


def is_cross_site(request) -> bool:
    """True when `Sec-Fetch-Site` says so, or `Origin` is neither ours nor in CORS_ALLOWED_ORIGINS.

    `Origin: null` (sandboxed frames, files) is nobody's. Programs that are no
    browsers send neither header and are not cross-site: they hold no cookies
    by accident. Only unsafe methods with a cookie need to ask.
    """
    if request.headers.get("Sec-Fetch-Site", "").lower() == "cross-site":
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin not in {*our_origins(request), *settings.CORS_ALLOWED_ORIGINS}


def our_origins(request) -> set[str]:
    """The address people were told (PUBLIC_URL) and the host this request came to, which ALLOWED_HOSTS has checked."""
    public = urlsplit(settings.PUBLIC_URL)
    return {f"{public.scheme}://{public.netloc}", f"{request.scheme}://{request.get_host()}"}
