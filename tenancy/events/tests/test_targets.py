"""No webhook goes to ourselves, our network or a cloud's secrets, however it is spelled (WH-01 to WH-06, F14)."""

import ipaddress
import socket
import threading
import time

import pytest

from tenancy.events.targets import NameNotFound, Target, TargetRefused, check_address, find_addresses, read_url


@pytest.fixture(autouse=True)
def as_in_production(settings):
    settings.WEBHOOK_LOOPBACK = False


INSIDE = [
    *["0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3"],
    *["169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1"],
    *["192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1"],
    *["239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16"],
    *["::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"],
    *["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1"],
    *[
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2002:808:808::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
    ],
    *["fe80::1", "fec0::1", "ff02::1", "ff05::2", "ff0e::1"],
]
OUTSIDE = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1",
           "2606:4700:4700::1111", "2a00:1450:4001::8a", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_wh01_addresses_that_are_not_public_are_refused(address):
    with pytest.raises(TargetRefused):
        check_address(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_wh01_public_addresses_pass(address):
    check_address(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
def test_wh01_they_are_refused_in_an_address_too(address):
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(TargetRefused):
        read_url(f"https://{host}/hook")


def test_wh01_the_library_alone_would_let_some_pass():
    """Why there is a table of our own (F14): the list below shrinks when Python learns."""
    passed = [text for text in INSIDE if ipaddress.ip_address(text).is_global]

    assert {"224.0.0.1", "ff02::1", "64:ff9b::127.0.0.1"} <= set(passed)


SPELLINGS = [
    # numbers that resolvers read as 127.0.0.1 or 169.254.169.254
    *["https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/"],
    *["https://127.0.1/", "https://017700000001/", "https://0x7f.0x0.0x0.0x1/", "https://127.0.0.01/"],
    *["https://2852039166/", "https://0xa9fea9fe/", "https://0251.0376.0251.0376/", "https://169.254.43518/"],
    *["https://0/", "https://00/", "https://127.0.0.1.1/", "https://256.256.256.256/", "https://1.1.1.1.0x7f/"],
    # other scripts that are folded to digits and dots
    *["https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://127．0．0．1/", "https://１２７.0.0.1/"],
    *["https://ｌｏｃａｌｈｏｓｔ/", "https://loc\u00adalhost/", "https://exa\u200bmple.org/", "https://bücher.example/"],
    *["https://\u212a.example.org/", "https://\u017f.example.org/"],
    # dots and brackets
    *["https://localhost./", "https://127.0.0.1./", "https://example.org./", "https://.example.org/"],
    *["https://example..org/", "https://[127.0.0.1]/", "https://[::1]/", "https://[::ffff:7f00:1]/"],
    *["https://[::1%25lo]/", "https://[fe80::1%lo]/", "https://[::1/", "https://::1/", "https://[]/", "https://[v1.x]/"],
    # who is meant: user names, fragments, backslashes, two programs two readings
    *["https://user@example.org/", "https://user:pass@example.org/", "https://example.org@127.0.0.1/"],
    *["https://127.0.0.1#@example.org/", "https://example.org#@127.0.0.1/", "https://example.org\\@127.0.0.1/"],
    *["https:\\\\example.org/", "https://example.org\\.evil/", "https:/example.org/", "https:example.org/"],
    *["https:///example.org/", "//example.org/", "https://example.org?@127.0.0.1/", "https://example.org?x=1"],
    *["https://127.0.0.1:443@example.org/", "https://example.org:443:80/"],
    # what no line of a request may hold
    *["https://example.org/\r\nHost: evil", "https://example.org/\tx", "https://example.org/ x", " https://example.org/"],
    *["https://example.org/\x00", "https://exam\tple.org/", "https://exam\nple.org/", "https://example.org/\x7f"],
    *["https://example.org/é", "https://example.org/<script>", 'https://example.org/"x'],
    # names of one's own network, and names that are none
    *["https://localhost/", "https://LOCALHOST/", "https://redis/", "https://metadata/", "https://db_1.example.org/"],
    *["https://-example.org/", "https://example-.org/", "https://%6c%6f%63%61%6c%68%6f%73%74/"],
    *["https://ex%61mple.org/", "https://" + "a" * 64 + ".org/", "https://" + "a." * 130 + "org/"],
    *["https://", "https:///", "", "x"],
    # other doors
    *["http://example.org/", "HTTP://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/"],
    *["ws://example.org/", "data:text/plain,x", "javascript:alert(1)", "unix:///tmp/x.sock", "dict://example.org:11211/"],
    *["https://example.org:22/", "https://example.org:25/", "https://example.org:80/", "https://example.org:6379/"],
    *["https://example.org:5432/", "https://example.org:0/", "https://example.org:65536/", "https://example.org:99999/"],
    *["https://example.org:-1/", "https://example.org:4a3/", "https://example.org:٤٤٣/"],
    "https://example.org/" + "a" * 600,
]  # fmt: skip


def test_wh02_there_are_enough_spellings():
    assert len(set(SPELLINGS)) >= 90


@pytest.mark.parametrize("text", SPELLINGS)
def test_wh02_wh06_spellings_that_lead_elsewhere_are_refused(text):
    with pytest.raises(TargetRefused) as refused:
        read_url(text)

    assert refused.value.sentence


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://hooks.example.org", Target("https", "hooks.example.org", 443, "/")),
        ("HTTPS://Hooks.Example.ORG/In?a=1&b=%20", Target("https", "hooks.example.org", 443, "/In?a=1&b=%20")),
        ("https://hooks.example.org:8443/x", Target("https", "hooks.example.org", 8443, "/x")),
        ("https://hooks.example.org:0443/x", Target("https", "hooks.example.org", 443, "/x")),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443, "/")),
        ("https://example.org/@127.0.0.1", Target("https", "example.org", 443, "/@127.0.0.1")),
        ("https://8.8.8.8/x", Target("https", "8.8.8.8", 443, "/x")),
        ("https://[2606:4700:4700:0::1111]/x", Target("https", "2606:4700:4700::1111", 443, "/x")),
        ("https://0x7f000001.example.org/", Target("https", "0x7f000001.example.org", 443, "/")),
    ],
)
def test_wh02_good_addresses_get_one_spelling(text, target):
    assert read_url(text) == target
    assert read_url(target.url) == target


# --- What names lead to ----------------------------------------------------------------------------------------------

EXAMPLE = Target("https", "hooks.example.org", 443, "/")


def resolver(monkeypatch, *answers, delay=0.0, error=None):
    def getaddrinfo(host, port, **how):
        time.sleep(delay)
        if error:
            raise error
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, 1, 6, "", (a, port)) for a in answers]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "answers",
    [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["169.254.169.254", "93.184.216.34"], ["::1"], ["fd00:ec2::254"],
     ["2606:4700:4700::1111", "::ffff:10.0.0.1"]],
)  # fmt: skip
def test_wh03_one_bad_address_refuses_a_name(monkeypatch, answers):
    resolver(monkeypatch, *answers)

    with pytest.raises(TargetRefused):
        find_addresses(EXAMPLE)


def test_wh03_good_addresses_pass(monkeypatch):
    resolver(monkeypatch, "93.184.216.34", "2606:4700:4700::1111", "93.184.216.34")

    assert [str(address) for address in find_addresses(EXAMPLE)] == ["93.184.216.34", "2606:4700:4700::1111"]


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), socket.gaierror(-3, "again"), OSError("broken")])
def test_wh03_an_unknown_name_is_refused(monkeypatch, error):
    resolver(monkeypatch, error=error)

    with pytest.raises(NameNotFound):
        find_addresses(EXAMPLE)


def test_wh03_an_empty_answer_or_one_with_a_zone_is_refused(monkeypatch):
    for answers in ([], ["not an address"]):
        resolver(monkeypatch, *answers)
        with pytest.raises(NameNotFound):
            find_addresses(EXAMPLE)


def test_wh03_a_slow_resolver_is_left_after_three_seconds(monkeypatch):
    resolver(monkeypatch, "93.184.216.34", delay=4)
    began = time.monotonic()

    with pytest.raises(NameNotFound):
        find_addresses(EXAMPLE)

    assert 2.5 < time.monotonic() - began < 3.9
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("look up"))


# --- The setting of tests --------------------------------------------------------------------------------------------


def test_loopback_is_open_to_tests_and_nothing_else_is(settings):
    settings.WEBHOOK_LOOPBACK = True

    assert read_url("http://127.0.0.1:8123/x") == Target("http", "127.0.0.1", 8123, "/x")
    assert read_url("http://localhost:8123/x").host == "localhost"
    for text in ("http://10.0.0.1:8123/", "https://169.254.169.254/", "http://example.org/", "https://127.1/"):
        with pytest.raises(TargetRefused):
            read_url(text)


def test_production_refuses_the_setting(settings):
    from tenancy.events.checks import check_loopback

    settings.WEBHOOK_LOOPBACK, settings.SERVED_OVER_HTTPS = True, True
    assert [error.id for error in check_loopback(None)] == ["events.E001"]

    settings.SERVED_OVER_HTTPS = False
    assert check_loopback(None) == []
