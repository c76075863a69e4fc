"""Licences and privileges: dated, vouched for by somebody else, readable when they are over."""

from datetime import datetime, timedelta

import pytest

from accounts.qualifications import selectors, services
from accounts.qualifications.models import Qualification
from accounts.users.tests.factories import ZONE
from tenancy.rules import RuleBroken

TODAY = datetime.now(ZONE).date()


@pytest.fixture
def kind(clinic, admin):
    return services.create_kind(by=admin, name="Ultrasound privilege", group="privilege")


def record(member, kind, by, since=-10, until=10):
    last = TODAY + timedelta(days=until) if until is not None else None
    return services.record_qualification(
        member, by=by, kind=kind, valid_from=TODAY + timedelta(days=since), valid_until=last
    )


@pytest.mark.parametrize(("day", "there"), [(-11, False), (-10, True), (0, True), (10, True), (11, False)])
def test_gaps_of_counts_the_first_and_the_last_day(admin, doctor, kind, day, there):
    record(doctor, kind, admin)

    gaps = selectors.gaps_of(doctor.pk, [kind], TODAY + timedelta(days=day))

    assert (gaps == []) == there
    # Before it begins it is not there, and has not lapsed either.
    lapsed = TODAY + timedelta(days=10) if day > 10 else None
    assert [gap.lapsed_on for gap in gaps] == ([] if there else [lapsed])


def test_gaps_of_somebody_without_an_account_or_without_any(doctor, kind):
    assert [gap.lapsed_on for gap in selectors.gaps_of(None, [kind], TODAY)] == [None]
    assert [gap.lapsed_on for gap in selectors.gaps_of(doctor.pk, [kind], TODAY)] == [None]


def test_a_withdrawn_one_does_not_count_and_wants_a_reason(admin, doctor, kind):
    row = record(doctor, kind, admin, until=None)
    with pytest.raises(RuleBroken, match="Say why"):
        services.withdraw_qualification(row, by=admin, reason=" ")
    services.withdraw_qualification(row, by=admin, reason="Forged")

    assert selectors.gaps_of(doctor.pk, [kind], TODAY)
    with pytest.raises(RuleBroken, match="already"):
        services.withdraw_qualification(row, by=admin, reason="Forged")


def test_nobody_vouches_for_themselves_and_dates_make_sense(admin, doctor, kind):
    with pytest.raises(RuleBroken, match="Somebody else"):
        record(admin, kind, admin)
    with pytest.raises(RuleBroken, match="before the first"):
        record(doctor, kind, admin, until=-11)
    assert not Qualification.objects.exists()


def test_lapsing_until_leaves_out_what_was_renewed(admin, doctor, nurse, kind):
    record(doctor, kind, admin, until=20)
    record(nurse, kind, admin, until=20)
    record(nurse, kind, admin, since=15, until=400)

    rows = selectors.lapsing_until(TODAY + timedelta(days=30), after=TODAY)

    assert [row.membership_id for row in rows] == [doctor.pk]


def test_create_kind_refuses_a_second_of_the_same_code(admin, kind):
    with pytest.raises(RuleBroken, match="already"):
        services.create_kind(by=admin, name="Ultrasound privilege", group="licence")
