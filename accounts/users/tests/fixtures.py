"""The cast, and the ways they come in: fixtures for every room's tests (registered by `config.testing`).

`clinic` stays entered for the whole test, so factories and services just work.
The clients step out of it for each request (`outside_tenant`), so that the
middleware finds what it finds in production: nobody inside of a clinic.
"""

import pytest
from django.contrib.auth import HASH_SESSION_KEY
from django.core.cache import caches
from django.db import connection, transaction
from django.test import Client
from rest_framework.test import APIClient

from accounts.api_keys import shedding as spent_keys
from accounts.users import hashing, sessions, shedding
from accounts.users.authentication import csrf_token_for
from accounts.users.credentials import ACCESS_COOKIE, CSRF_COOKIE
from accounts.users.models import Session
from accounts.users.tests.factories import MembershipFactory, open_clinic
from accounts.users.tokens import issue_tokens
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant

DEVICE = sessions.Device("pytest", "127.0.0.1")


# --- Clinics ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clinic(db):
    """A Tenant; the test runs inside of it."""
    tenant, _ = open_clinic(name="Riverside Clinic")
    with tenant_context(tenant.id):
        yield tenant
        # Nothing is kept, so nothing has to be finished, whatever state the test has left.
        connection.before_commit = []
        transaction.set_rollback(True)


@pytest.fixture
def other_clinic(db):
    """A second Tenant on the same server. Enter it by `with outside_tenant(), tenant_context(other_clinic.id):`."""
    with outside_tenant():
        tenant, _ = open_clinic(name="Harbor Clinic", time_zone="Europe/London")
    return tenant


@pytest.fixture(autouse=True)
def fresh_limits():
    """Nobody has tried anything yet: what one test counts keeps no other from signing in."""
    caches["default"]._cache.get_client(write=True).flushdb()
    shedding.forget()
    spent_keys.forget()
    hashing.forget()


# --- People ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def admin(clinic):
    """An administrator. Like all of the cast a Membership, the `by=` of every service."""
    return MembershipFactory(role="admin", user__name="Ada Admin")


@pytest.fixture
def doctor(clinic):
    return MembershipFactory(role="doctor", user__name="Dario Doctor")


@pytest.fixture
def nurse(clinic):
    return MembershipFactory(role="nurse", user__name="Nora Nurse")


@pytest.fixture
def receptionist(clinic):
    return MembershipFactory(role="staff", user__name="Rosa Reception")


@pytest.fixture
def auditor(clinic):
    return MembershipFactory(role="auditor", user__name="Aldo Auditor")


@pytest.fixture
def patient_user(clinic):
    """A person who is a patient and may see only that."""
    return MembershipFactory(role="patient", user__name="Pia Patient")


@pytest.fixture
def stranger(other_clinic):
    """A nurse of the other clinic. What is ours does not exist for them: 404, never 403."""
    with outside_tenant(), tenant_context(other_clinic.id):
        member = MembershipFactory(role="nurse", user__name="Sven Stranger")
        member.permissions
    return member


@pytest.fixture
def strange_admin(other_clinic):
    """An administrator of the other clinic: for what a nurse may not even ask for."""
    with outside_tenant(), tenant_context(other_clinic.id):
        member = MembershipFactory(role="admin", user__name="Stig Stranger")
        member.permissions  # read while their clinic is open
    return member


# --- Clients ---------------------------------------------------------------------------------------------------------


class FreshRequests:
    """Every request begins outside of any clinic, as it does in production."""

    def request(self, **kwargs):
        with outside_tenant():
            return super().request(**kwargs)


class PageClient(FreshRequests, Client):
    """A browser without script."""


class ProgramClient(FreshRequests, APIClient):
    """A program that speaks JSON."""


@pytest.fixture
def client():
    """A browser in which nobody is signed in."""
    return PageClient()


@pytest.fixture
def anonymous_api():
    """A program without credentials."""
    return ProgramClient()


@pytest.fixture
def page_client():
    """`page_client(member)`: a browser in which this member is signed in."""
    return sign_in_browser


@pytest.fixture
def api_client():
    """`api_client(member)`: a program with this member's access token as Bearer."""
    return sign_in_program


@pytest.fixture
def cookie_client():
    """`cookie_client(member)`: a web client with this member's access and CSRF cookies."""
    return sign_in_by_cookie


def sign_in_browser(member, second_factor="", **options) -> PageClient:
    """As `accounts.users.pages.sign_in` leaves a browser: a Session row, and a Django session that names it.

    `second_factor` is what was proved beside the password, a Session.Factor. `browser.sign_in` is the row.
    """
    browser = PageClient(**options)
    session = browser.sign_in = open_session(member, Session.Kind.PAGE, second_factor)
    with outside_tenant():
        browser.force_login(member.user)
        kept = browser.session
        kept["tenant_id"], kept["sid"] = str(member.tenant_id), str(session.pk)
        kept[HASH_SESSION_KEY] = member.user.get_session_auth_hash()
        kept.save()
    return browser


def sign_in_program(member, **options) -> ProgramClient:
    """A program with a Bearer token; `program.sign_in` is its Session row."""
    program = ProgramClient(**options)
    program.sign_in = open_session(member, Session.Kind.TOKEN)
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens_of(program.sign_in)[0]}")
    return program


def sign_in_by_cookie(member, **options) -> ProgramClient:
    """A web client with the cookies that `/api/auth/login` sets, but for the refresh token."""
    program = ProgramClient(**options)
    program.sign_in = open_session(member, Session.Kind.TOKEN)
    program.cookies[ACCESS_COOKIE] = tokens_of(program.sign_in)[0]
    program.cookies[CSRF_COOKIE] = csrf_token_for(program.sign_in)
    return program


def open_session(member, kind, second_factor="") -> Session:
    """A sign-in of this member, in the member's own clinic whichever the test is in."""
    with outside_tenant(), tenant_context(member.tenant_id):
        session = sessions.open_session(
            member.user, member.tenant, kind=kind, device=DEVICE, second_factor=second_factor
        )
        session.membership.permissions
        return session


def tokens_of(session) -> tuple[str, str]:
    """Access and refresh token of a session, in the session's own clinic."""
    with outside_tenant(), tenant_context(session.tenant_id):
        return issue_tokens(session)
