"""Keeping a draft, letting it go."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.drafts import selectors, services
from accounts.drafts.models import Draft
from accounts.drafts.tasks import purge_drafts
from tenancy.rules import RuleBroken
from tenancy.tenants.tests.contexts import outside_tenant

PAGE = "/patients/new/"


def test_save_draft_replaces_what_was_kept(clinic, nurse):
    services.save_draft(by=nurse, key=PAGE, values={"city": ["Cali"], "gone": ["x"]})
    services.save_draft(by=nurse, key=PAGE, values={"city": ["Pasto"]})

    assert list(Draft.objects.values_list("key", "values")) == [(PAGE, {"city": ["Pasto"]})]


def test_save_draft_leaves_out_what_opens_doors(clinic, nurse):
    secret = ["password", "new_password1", "old_passwd", "otp_code", "csrfmiddlewaretoken", "client_secret", "draft"]
    values = {name: ["x"] for name in [*secret, "city", "birth_date_0", "postal_code"]}

    draft = services.save_draft(by=nurse, key=PAGE, values=values)

    assert sorted(draft.values) == ["birth_date_0", "city", "postal_code"]


def test_save_draft_keeps_text_without_nul(clinic, nurse):
    assert services.save_draft(by=nurse, key=PAGE, values={"a\x00": ["Ñuñ\x00ez 漢"]}).values == {"a": ["Ñuñez 漢"]}


@pytest.mark.parametrize(("letters", "fits"), [(199_900, True), (200_100, False)])
def test_save_draft_has_room_for_200_kilobytes(clinic, nurse, letters, fits):
    values = {"note": ["x" * letters]}
    if fits:
        services.save_draft(by=nurse, key=PAGE, values=values)
    else:
        with pytest.raises(RuleBroken, match="too much text"):
            services.save_draft(by=nurse, key=PAGE, values=values)

    assert Draft.objects.count() == fits


def test_save_draft_keeps_the_newest_fifty(clinic, nurse, doctor):
    services.save_draft(by=doctor, key=PAGE, values={})
    for number in range(52):
        services.save_draft(by=nurse, key=f"/patients/{number}/", values={})

    kept = Draft.objects.filter(membership=nurse)
    assert kept.count() == 50
    assert not kept.filter(key__in=["/patients/0/", "/patients/1/"]).exists()
    assert Draft.objects.filter(membership=doctor).exists()


def test_a_draft_is_seen_by_its_owner_only(clinic, nurse, doctor):
    services.save_draft(by=nurse, key=PAGE, values={"city": ["Cali"]})

    assert selectors.get_draft(PAGE, by=nurse).values == {"city": ["Cali"]}
    assert selectors.get_draft(PAGE, by=doctor) is None
    assert selectors.get_draft("/patients/", by=nurse) is None
    assert services.discard_draft(by=doctor, key=PAGE) is False
    assert services.discard_draft(by=nurse, key=PAGE) is True
    assert Draft.objects.count() == 0


def test_a_draft_lasts_for_a_week(clinic, nurse):
    services.save_draft(by=nurse, key=PAGE, values={})
    services.save_draft(by=nurse, key="/patients/", values={})
    Draft.objects.filter(key=PAGE).update(updated_at=timezone.now() - timedelta(days=7))

    assert selectors.get_draft(PAGE, by=nurse) is None
    with outside_tenant():
        purge_drafts()
    assert [draft.key for draft in Draft.objects.all()] == ["/patients/"]
