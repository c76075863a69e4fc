"""The gallery, the frame around every page, and the pages that say no. None of them asks the database."""

import json
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.http import Http404
from django.template import Context
from django.template.loader import get_template, render_to_string
from django.test import RequestFactory
from django.urls import reverse

from config.look import context, pages
from config.look.htmx import HTMX_CONFIG


def ask(address="/look/", *, may=lambda permission: True, user=None, htmx=False):
    request = RequestFactory().get(address)
    request.htmx = htmx
    request.tenant = SimpleNamespace(name="Riverside <Clinic>", time_zone="America/Bogota", country="CO")
    request.member = SimpleNamespace(display_name="Marta & Co", may=may) if may else None
    request.user = user or SimpleNamespace(is_staff=False, is_active=True, is_anonymous=True)
    return request


def test_gallery_shows_every_component_once(settings):
    settings.DEMO = True

    page = pages.gallery(ask()).content.decode()

    for component in pages.list_components():
        assert page.count(f'<h2 id="{component["name"]}">') == 1
        assert component["about"], f"{component['name']} does not say what it is for"
    assert "Riverside &lt;Clinic&gt;" in page
    assert "Marta &amp; Co" in page


@pytest.mark.parametrize("name", pages.SAMPLE_PAGES)
def test_sample_pages_are_made_of_components_alone(settings, name):
    settings.DEMO = True

    assert "<h1>" in pages.sample_page(ask(), name).content.decode()


def test_sample_list_sends_the_results_alone_to_htmx(settings):
    settings.DEMO = True

    part = pages.sample_page(ask("/look/sample/list/?q=aurelio", htmx=True), "list").content.decode()

    assert "<h1>" not in part
    assert 'data-announce="1 patient"' in part
    assert "Restrepo".upper() in part
    assert "DE LA HOZ" not in part


def test_gallery_is_not_there_for_strangers_of_a_real_clinic(settings):
    settings.DEMO = settings.DEBUG = False

    for stranger in (ask(may=None), ask(may=lambda permission: False)):
        with pytest.raises(Http404):
            pages.gallery(stranger)
        with pytest.raises(Http404):
            pages.sample_page(stranger, "list")


def test_gallery_is_there_for_administrators(settings):
    settings.DEMO = settings.DEBUG = False

    administrator = ask(may=lambda permission: permission == context.Permission.ADMIN_SITE)

    assert pages.gallery(administrator).status_code == 200


def test_frame_shows_only_what_the_member_may_open(monkeypatch):
    monkeypatch.setattr(context, "_address", lambda name: f"/{name}/")
    allowed = context.Frame(ask(may=lambda permission: permission == context.Permission.PATIENT_VIEW))
    refused = context.Frame(ask(may=lambda permission: False))

    assert [entry["url"] for entry in allowed.nav] == ["/home:today/", "/patients:list/"]
    assert allowed.search_url == "/patients:list/"
    assert [entry["url"] for entry in refused.nav] == ["/home:today/"]
    assert refused.search_url == ""


def test_frame_of_a_stranger_is_empty():
    frame = context.Frame(RequestFactory().get("/"))

    assert frame.nav == []
    assert frame.search_url == ""
    assert frame.member is None


def test_frame_leaves_out_rooms_that_are_not_installed(monkeypatch):
    monkeypatch.setattr(context, "_address", lambda name: "" if name.startswith("practitioners") else "/x/")

    assert "practitioners:list" not in [entry["url"] for entry in context.Frame(ask()).nav]
    assert len(context.Frame(ask()).nav) == len(context.DESTINATIONS) - 1


def test_destinations_have_keys_of_their_own():
    keys = [place.key for place in context.DESTINATIONS if place.key]

    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", ["400", "403", "404", "409", "429"])
def test_error_pages_need_neither_member_nor_clinic(name):
    page = render_to_string(f"errors/{name}.html", request=RequestFactory().get("/nowhere/"))

    assert "<h1>" in page
    assert "Back to the start" in page


def test_error_page_403_of_an_old_form_says_send_it_again():
    page = render_to_string("errors/403.html", {"code": "csrf_failed"}, RequestFactory().get("/"))

    assert "Please send it again" in page
    assert "Your role" not in page


def test_error_page_500_needs_nothing_at_all():
    page = get_template("500.html").template.render(Context())

    assert "Nothing was saved." in page
    assert f"{settings.STATIC_URL}css/carewright.css" in page


def test_htmx_may_not_evaluate_or_store_anything():
    config = json.loads(HTMX_CONFIG)

    assert config["allowEval"] is False
    assert config["allowScriptTags"] is False
    assert config["selfRequestsOnly"] is True
    assert config["historyCacheSize"] == 0
    assert {"code": "4(09|12|22)", "swap": True} in config["responseHandling"]


def test_gallery_has_an_address():
    assert reverse("look:gallery") == "/look/"
