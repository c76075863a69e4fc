"""The one statement of every request says what the ORM says."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.users import selectors, sessions
from accounts.users.models import Session
from accounts.users.recognition import recognise_session
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant


@pytest.fixture
def session(clinic, nurse):
    return sessions.open_session(nurse.user, clinic, kind=Session.Kind.PAGE, device=sessions.Device("test", "::1"))


def fields(row):
    return {name: value for name, value in row.__dict__.items() if not name.startswith("_")}


def test_recognise_session_reads_what_the_orm_reads(session):
    known, slow = recognise_session(session.pk), selectors.get_live_session(session.pk)

    assert known.other_clinics == []
    assert fields(known) == fields(slow) | {"other_clinics": []}
    assert known.membership.rights == slow.membership.rights
    worked_out = {"roles": None, "rights": None}
    assert fields(known.membership) | worked_out == fields(slow.membership) | worked_out
    assert fields(known.membership.user) == fields(slow.membership.user)
    assert fields(known.tenant) == fields(slow.tenant)
    assert [fields(role) for role in known.membership.roles] == [fields(role) for role in slow.membership.roles]
    assert known.membership.permissions == slow.membership.permissions != frozenset()


def test_recognise_session_asks_once(session, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert recognise_session(session.pk).membership.may("patients.view")


@pytest.mark.parametrize("ending", ["revoked", "expired", "member", "person", "clinic"])
def test_recognise_session_knows_nobody_once_anything_ended(session, ending):
    member = session.membership
    if ending == "revoked":
        sessions.revoke_session(session)
    elif ending == "expired":
        Session.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        row = {"member": member, "person": member.user, "clinic": session.tenant}[ending]
        row.is_active = False
        row.save()

    assert recognise_session(session.pk) is None
    assert selectors.get_live_session(session.pk) is None


def test_recognise_session_of_another_clinic_is_nobody(session, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.id):
        assert recognise_session(session.pk) is None
