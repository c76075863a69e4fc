"""Where a request came from, by proxies we trust only (X-Forwarded-For of strangers is a claim, not a fact)."""

import ipaddress

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(request) -> str:
    """Who called, for limits, lists of sessions and the audit trail; `0.0.0.0` on a Unix socket.

    With TRUSTED_PROXY_COUNT = n it is the n-th entry of X-Forwarded-For from
    the right: the one our outermost proxy wrote. A shorter or broken header
    did not come through all of them, and the peer itself counts. An IPv6
    address is cut to its /64, because one subscriber owns all of that and
    could otherwise try from 2^64 addresses.
    """
    address = _address(request)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address or "0.0.0.0")  # noqa: S104 - "no address", nothing is bound to it


def came_directly(request) -> bool:
    """True when the peer is this very machine and no proxy stands between."""
    forwarded = any(name in request.META for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"))
    peer = _read(request.META.get("REMOTE_ADDR", ""))
    return not forwarded and peer is not None and peer.is_loopback


def _address(request) -> Address | None:
    peer = _read(request.META.get("REMOTE_ADDR", ""))
    count = settings.TRUSTED_PROXY_COUNT
    entries = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if count else []
    return (_read(entries[-count]) if len(entries) >= count > 0 else None) or peer


def _read(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
