"""A real browser in front of a real server: the system's Chromium, and our WSGI application on a free port.

Without Chromium these tests are skipped by name. They share one browser and
one clinic with committed rows; what a test changes, it changes on a patient
of its own. Whatever a page complains about in the console (a script that
fails, a content security policy that is broken) fails the test that saw it.
"""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.db import connection
from django.test import override_settings
from playwright.sync_api import expect, sync_playwright

from accounts.users.tests.factories import PASSWORD, MembershipFactory, open_clinic
from clinic.patients import services
from clinic.patients.models import DocumentType
from clinic.patients.tests.factories import CITIZENSHIP_CARD, PatientFactory
from tenancy.tenants.context import tenant_context

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP, PHONE = {"width": 1366, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 10_000  # milliseconds; a page that takes longer than this is broken


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


@dataclass(frozen=True)
class Site:
    """Where the server listens, and who and what is in its clinic."""

    url: str
    tenant_id: str
    members: dict
    run: ThreadPoolExecutor

    def work(self, act):
        """Do something with the database, inside the clinic. Playwright keeps the test's own thread."""

        def inside():
            with tenant_context(self.tenant_id):
                return act()

        return self.run.submit(inside).result(timeout=30)

    def patient(self, **fields):
        """A patient of this test's own: (id, patient)."""
        return self.work(lambda: PatientFactory(by=self.members["nurse"], **fields))


@pytest.fixture(scope="session")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def running_site(chromium, django_db_setup, django_db_blocker):
    run = ThreadPoolExecutor(1)
    server = ThreadedWSGIServer(("127.0.0.1", 0), QuietHandler)
    server.set_app(StaticFilesHandler(WSGIHandler()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    with django_db_blocker.unblock():
        tenant_id, members = run.submit(_fill_clinic).result(timeout=60)
        thread.start()
        yield Site(f"http://127.0.0.1:{server.server_port}", tenant_id, members, run)
        server.shutdown()
        server.server_close()
        thread.join()
        run.submit(lambda: connection.close()).result(timeout=10)
        run.shutdown()


def _fill_clinic():
    tenant, _ = open_clinic(name="Riverside Clinic")
    with tenant_context(tenant.id):
        members = {
            "nurse": MembershipFactory(roles=["nurse", "doctor"], user__name="Nora Nurse"),
            "doctor": MembershipFactory(role="doctor", user__name="Dario Doctor"),
            "spanish": MembershipFactory(role="nurse", user__name="Sol Speaker"),
            "leaving": MembershipFactory(role="nurse", user__name="Lea Leaving"),
        }
        card = DocumentType.objects.get(pk=CITIZENSHIP_CARD)
        for number, name in enumerate(["Bruno", "Camila", "Dolores", "Elena", "Fabio"]):
            PatientFactory(
                by=members["nurse"],
                first_name=name,
                first_last_name="Restrepo",
                birth_date=date(1950 + 9 * number, 3, 14),
                document_type=card,
                document_number=f"52.123.45{number}",
                cell_phone=f"300 123 456{number}",
            )
        full = PatientFactory(
            by=members["nurse"],
            first_name="محمد",
            first_last_name="Guðmundsdóttir-van den Berg",
            title="Dra.",
            birth_date=date(1978, 3, 14),
            allergies="Penicillin\nLatex",
            alerts="Falls; needs a chair with arms and somebody to walk beside",
            medical_history="Asthma since childhood. " * 12,
            needs_interpreter=True,
            language="Wayuu",
            email="a.very.long.address.that.does.not.end@an-equally-long-domain.example.org",
            habeas_data=True,
            identifiers=[{"kind": "MR", "system": "https://harbor.example/records", "value": "HC-0077"}],
        )
        services.update_patient(full, by=members["doctor"], changes={"city": "Bogotá", "blood_type": "AB-"})
        services.record_consent(full, by=members["doctor"], kind="research", granted=False, note="By phone")
        members["full"] = full
    connection.close()
    return tenant.id, members


@pytest.fixture
def site(running_site, django_db_blocker):
    """The running server, as the demonstration that people see first (the gallery is open)."""
    with django_db_blocker.unblock(), override_settings(DEMO=True):
        yield running_site


@pytest.fixture(scope="session")
def signed_in(running_site, chromium):
    """`signed_in("nurse")`: the cookies of a sign-in that is kept for all tests."""
    kept = {}

    def cookies(who):
        if who not in kept:
            context = chromium.new_context(base_url=running_site.url)
            sign_in(context.new_page(), running_site.members[who])
            kept[who] = context.storage_state()
            context.close()
        return kept[who]

    return cookies


def sign_in(page, member):
    page.goto("/sign-in/")
    page.get_by_label("E-mail or user name").fill(member.user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()


@pytest.fixture
def opens(site, chromium, signed_in):
    """`opens("nurse")`: a window of its own in which this member (None: nobody) is signed in.

    `opens.complaints` is what the console said; there must be none at the end.
    """
    expect.set_options(timeout=PATIENCE)
    contexts, complaints = [], []

    def window(who="nurse", **options):
        options = {"viewport": DESKTOP, "reduced_motion": "reduce", "locale": "en-GB"} | options
        state = signed_in(who) if who else None
        context = chromium.new_context(base_url=site.url, storage_state=state, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: note(page, message))
        return page

    def note(page, message):
        # A page that answers 404 or 422 on purpose is written down by Chromium, too.
        about_itself = message.text.startswith("Failed to load resource") and message.location["url"] == page.url
        if message.type in {"error", "warning"} and not about_itself:
            complaints.append(f"{page.url}: {message.text}")

    window.complaints = complaints
    yield window
    for context in contexts:
        context.close()
    assert complaints == []


def troubles_of(page) -> list[str]:
    """What axe calls serious or critical, in both widths and both schemes, and what sticks out of a phone."""
    page.evaluate(AXE_SCRIPT)
    found = []
    for viewport in (DESKTOP, PHONE):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            place = f"{viewport['width']} {scheme}"
            found += [f"{place}: {trouble}" for trouble in page.evaluate(AXE_RUN)]
        found += [f"{viewport['width']}: sticks out: {element}" for element in page.evaluate(OVERFLOW)]
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    return found


AXE_RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations
    .filter((violation) => ["serious", "critical"].includes(violation.impact))
    .flatMap((violation) => violation.nodes.map((node) => `${violation.id} ${node.target} ${node.html.slice(0, 160)}`));
}"""
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("body *")]
    .filter((element) => element.getBoundingClientRect().right > width + 1)
    .map((element) => `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 40)}`);
}"""


@contextmanager
def without_leaving(page):
    """What happens inside happens on this page: nothing loads another one."""
    page.evaluate("window.isTheSamePage = true")
    yield
    assert page.evaluate("window.isTheSamePage") is True
