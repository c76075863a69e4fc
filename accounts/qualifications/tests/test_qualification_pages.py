"""Pages and API of qualifications: who may, what they show, and that nobody vouches for themselves."""

import html
import re
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.urls import reverse

from accounts.qualifications import services
from accounts.qualifications.models import Qualification, QualificationKind
from accounts.users.tests.factories import ZONE

TODAY = datetime.now(ZONE).date()


def text_of(response):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


@pytest.fixture
def kind(clinic, admin):
    return services.create_kind(by=admin, name="Ultrasound privilege", group="privilege")


@pytest.fixture
def row(kind, doctor, admin):
    return services.record_qualification(
        doctor, by=admin, kind=kind, valid_from=TODAY - timedelta(days=400), valid_until=TODAY - timedelta(days=2)
    )


def data(kind, **changes):
    return {"kind": kind.pk, "valid_from": str(TODAY), "valid_until": "", "number": "RM 1", "issuer": "", **changes}


def test_the_persons_page_says_lapsed_in_words(row, doctor, admin, page_client):
    for page in ("team:person", "qualifications:person"):
        said = text_of(page_client(admin).get(reverse(page, args=[doctor.pk])))
        assert "Ultrasound privilege Lapsed on" in said


def test_kinds_are_listed_and_added_once(kind, row, admin, page_client):
    browser, url = page_client(admin), reverse("qualifications:kinds")

    assert browser.post(url, {"name": "Medical licence", "group": "licence"}).status_code == 302
    assert browser.post(url, {"name": "Medical licence", "group": "licence"}).status_code == 422
    assert "Medical licence" in text_of(browser.get(url))
    assert QualificationKind.objects.count() == 2


def test_record_and_withdraw_on_the_page(kind, doctor, admin, page_client):
    browser, url = page_client(admin), reverse("qualifications:person", args=[doctor.pk])

    assert browser.post(url, data(kind, valid_until=str(TODAY - timedelta(days=1)))).status_code == 422
    assert browser.post(url, data(kind)).status_code == 302
    made = Qualification.objects.get()
    take_back = reverse("qualifications:withdraw", args=[doctor.pk, made.pk])
    assert browser.get(take_back).status_code == 200
    assert browser.post(take_back, {"reason": ""}).status_code == 422
    assert browser.post(take_back, {"reason": "Not renewed"}).status_code == 302

    assert Qualification.objects.get().withdrawn_reason == "Not renewed"
    assert "Taken back Not renewed" in text_of(browser.get(url))


def test_nobody_records_their_own(kind, admin, page_client, api_client):
    page = page_client(admin).post(reverse("qualifications:person", args=[admin.pk]), data(kind))
    program = api_client(admin).post(
        f"/api/users/{admin.user_id}/qualifications", {"kind": kind.code, "valid_from": str(TODAY)}, format="json"
    )

    assert (page.status_code, program.status_code) == (422, 409)
    assert not Qualification.objects.exists()


def test_only_who_manages_qualifications_comes_in(row, doctor, nurse, page_client, api_client, client):
    urls = [
        reverse("qualifications:kinds"),
        reverse("qualifications:person", args=[doctor.pk]),
        reverse("qualifications:withdraw", args=[doctor.pk, row.pk]),
    ]
    for url in urls:
        assert page_client(nurse).get(url).status_code == 403
        assert client.get(url).status_code == 302
    assert api_client(nurse).get(f"/api/users/{doctor.user_id}/qualifications").status_code == 403


def test_people_of_another_clinic_are_not_there(row, doctor, nurse, admin, strange_admin, page_client, api_client):
    there = page_client(strange_admin)

    assert there.get(reverse("qualifications:person", args=[doctor.pk])).status_code == 404
    assert there.get(reverse("qualifications:withdraw", args=[doctor.pk, row.pk])).status_code == 404
    assert api_client(strange_admin).get(f"/api/users/{doctor.user_id}/qualifications").status_code == 404
    assert page_client(admin).get(reverse("qualifications:withdraw", args=[nurse.pk, row.pk])).status_code == 404
    assert page_client(admin).get(reverse("qualifications:withdraw", args=[doctor.pk, uuid4()])).status_code == 404


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_api_records_and_lists(kind, doctor, admin, api_client, slash):
    program, url = api_client(admin), f"/api/users/{doctor.user_id}/qualifications{slash}"
    given = {"kind": kind.code, "number": "RM 1", "valid_from": str(TODAY), "valid_until": str(TODAY)}

    made = program.post(url, given, format="json")
    (found,) = program.get(url).json()["items"]

    assert made.status_code == 201
    assert (found["kind"], found["is_valid"], found["valid_until"]) == (kind.code, True, str(TODAY))


@pytest.mark.parametrize(
    "changes", [{"kind": "none-such"}, {"valid_from": "x"}, {"kind": ""}, {"unknown": 1}, {"number": "n" * 81}]
)
def test_the_api_refuses_what_makes_no_sense(kind, doctor, admin, api_client, changes):
    given = {"kind": kind.code, "valid_from": str(TODAY), **changes}

    answer = api_client(admin).post(f"/api/users/{doctor.user_id}/qualifications", given, format="json")

    assert answer.status_code == 400
    assert not Qualification.objects.exists()
