import pytest
from django.test import RequestFactory

from tenancy.doors.origins import is_cross_site


@pytest.fixture(autouse=True)
def addresses(settings):
    settings.PUBLIC_URL = "https://clinic.example.org"
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.net"]
    settings.ALLOWED_HOSTS = ["north.example.org"]


def asked(**headers):
    return RequestFactory().post("/api/patients", headers={"host": "north.example.org", **headers})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://clinic.example.org"},
        {"origin": "http://north.example.org"},
        {"origin": "https://app.example.net"},
        {"origin": "http://north.example.org", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_is_cross_site_lets_our_own_origins_pass(headers):
    assert not is_cross_site(asked(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "Cross-Site", "origin": "http://north.example.org"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "https://evil.example"},
        {"origin": "https://clinic.example.org.evil.example"},
        {"origin": "https://evil-clinic.example.org"},
        {"origin": "https://clinic.example.org:444"},
        {"origin": "http://clinic.example.org"},
        {"origin": "https://clinic.example.org/"},
        {"origin": "https://CLINIC.example.org@evil.example"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-site"},
    ],
)
def test_is_cross_site_sees_other_sites(headers):
    assert is_cross_site(asked(**headers))
