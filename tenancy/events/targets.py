"""Where a webhook may go: never to ourselves, our network, or a cloud's secrets (server-side request forgery).

Looked at twice: the text when somebody saves it, the addresses it leads to when
each try begins. The connection then goes to the very address that was looked
at, so a name that answers differently a moment later gains nothing. Source:
security.md F14, WH-01 to WH-06; `ipaddress.is_global` alone lets multicast,
NAT64, 6to4 and others pass, so a table of our own stands before it.
"""

import ipaddress
import re
import socket
import threading
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from django.conf import settings
from django.utils.translation import gettext as _

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOKUP_SECONDS = 3.0
MOST_CHARACTERS = 500
PORTS = frozenset({443, 8443})

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!$-;=?-\[\]_a-z~]*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)

FORBIDDEN = [
    ipaddress.ip_network(network)
    for network in (
        *["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"],
        *["192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"],
        *["192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
        "168.63.129.16/32",  # what virtual machines of one cloud ask for their secrets; a public address by its looks
        *["::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16"],
        *["3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"],
    )
]
_CARRIES_IPV4 = [ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96")]


class TargetRefused(Exception):
    """This is no address we send to; `sentence` says why to whoever typed it."""

    def __init__(self, sentence: str):
        super().__init__(sentence)
        self.sentence = sentence


class NameNotFound(TargetRefused):
    """Nobody knows where that is, for now."""


@dataclass(frozen=True)
class Target:
    """A web address in its one spelling."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        usual = 443 if self.scheme == "https" else 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port == usual else f':{self.port}'}{self.path}"


def read_url(text: str) -> Target:
    """What an administrator typed, as a Target. Raises TargetRefused for what two programs may read differently.

    https alone, ports 443 and 8443, names with a dot or addresses in their usual
    spelling; no user names, no fragments, nothing but plain ASCII (write other
    scripts as xn--…).
    """
    match = _URL.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if match is None:
        raise TargetRefused(_("Write an address such as https://hooks.example.org/carewright."))
    scheme, host = match["scheme"].lower(), match["host"].lower().strip("[]")
    port = int(match["port"]) if match["port"] else 443 if scheme == "https" else 80
    target = Target(scheme, _read_host(host, is_bracketed="[" in match["host"]), port, match["path"] or "/")
    if _is_this_machine(target.host):
        return target
    if scheme != "https":
        raise TargetRefused(_("The address has to begin with https://."))
    if port not in PORTS:
        raise TargetRefused(_("Only the ports 443 and 8443 are called."))
    return target


def find_addresses(target: Target) -> list[Address]:
    """Every address the target leads to now, all of them looked at. Raises TargetRefused when only one is forbidden.

    Asks the resolver for at most three seconds; NameNotFound after that, and
    for names nobody knows.
    """
    literal = _read_address(target.host)
    addresses = [literal] if literal else _look_up(target.host, target.port)
    if not addresses:
        raise NameNotFound(_("This name is not known: %(host)s.") % {"host": target.host})
    for address in addresses:
        check_address(address)
    return addresses


def check_address(address: Address) -> None:
    """Raise TargetRefused for an address that is not on the public internet, however it is wrapped."""
    inner = _unwrapped(address)
    if settings.WEBHOOK_LOOPBACK and inner.is_loopback:
        return
    if not inner.is_global or any(inner in network for network in FORBIDDEN if network.version == inner.version):
        raise TargetRefused(_("This address is not on the public internet: %(address)s.") % {"address": address})


def _unwrapped(address: Address) -> Address:
    if any(address in network for network in _CARRIES_IPV4 if network.version == address.version):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _read_host(host: str, *, is_bracketed: bool) -> str:
    address = _read_address(host)
    if address is not None and is_bracketed == (address.version == 6):
        check_address(address)
        return str(address)
    labels = host.split(".")
    is_name = not is_bracketed and len(host) <= 253 and all(map(_LABEL.fullmatch, labels))
    # What ends in a number is read as an address by some and as a name by others (127.1, 0x7f.1, 2130706433).
    if not is_name or address is not None or _NUMBER.fullmatch(labels[-1]):
        raise TargetRefused(_("This is no name of a server: %(host)s.") % {"host": host[:100]})
    if len(labels) < 2 and not _is_this_machine(host):
        raise TargetRefused(_("A name without a dot is one of your own network. Webhooks go to the internet."))
    return host


def _read_address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    """The receivers of tests, where the setting allows them."""
    address = _read_address(host)
    return settings.WEBHOOK_LOOPBACK and (host == "localhost" or bool(address and _unwrapped(address).is_loopback))


def _look_up(host: str, port: int) -> list[Address]:
    """The resolver has no time-out of its own, so it is asked from a thread that nobody waits for any longer."""
    said: SimpleQueue[list[Address]] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            said.put(list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found)))
        except (OSError, ValueError):  # unknown, or an answer with a zone (fe80::1%eth0), which is nobody's public name
            said.put([])

    threading.Thread(target=ask, daemon=True, name=f"look up {host}").start()
    try:
        return said.get(timeout=LOOKUP_SECONDS)
    except Empty:
        return []
