import pytest
from django.test import RequestFactory

from tenancy.doors.addresses import came_directly, client_address


def request(peer="10.0.0.9", **headers):
    return RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "expected"),
    [
        (0, "203.0.113.5", None, "203.0.113.5"),
        (0, "203.0.113.5", "198.51.100.1", "203.0.113.5"),
        (1, "10.0.0.9", "198.51.100.1", "198.51.100.1"),
        (1, "10.0.0.9", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.9", "1.1.1.1, 198.51.100.1, 10.0.0.8", "198.51.100.1"),
        (2, "10.0.0.9", "198.51.100.1", "10.0.0.9"),
        (1, "10.0.0.9", "nonsense", "10.0.0.9"),
        (1, "10.0.0.9", "", "10.0.0.9"),
        (1, "10.0.0.9", "198.51.100.1:4711", "198.51.100.1"),
        (1, "10.0.0.9", "[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::"),
        (0, "2001:db8:1:2:ffff::1", None, "2001:db8:1:2::"),
        (0, "::ffff:203.0.113.5", None, "203.0.113.5"),
        (0, "fe80::1%eth0", None, "fe80::"),
        (0, "", None, "0.0.0.0"),
    ],
)
def test_client_address_believes_trusted_proxies_only(settings, proxies, peer, forwarded, expected):
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}

    assert client_address(request(peer, **headers)) == expected


def test_came_directly_only_from_this_machine_and_past_no_proxy():
    assert came_directly(request("127.0.0.1"))
    assert came_directly(request("::1"))
    assert not came_directly(request("10.0.0.9"))
    assert not came_directly(request(""))
    assert not came_directly(request("127.0.0.1", x_forwarded_for="127.0.0.1"))
    assert not came_directly(request("127.0.0.1", forwarded="for=127.0.0.1"))
