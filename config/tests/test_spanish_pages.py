"""The real pages in Spanish: nothing English is left on them, and no word got there past gettext.

The second is asked by a catalogue that puts every text it is asked for in
brackets: what then stands outside of brackets and is nobody's name came from
somewhere else.
"""

import re
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core import mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import trans_real
from django_otp_webauthn.models import WebAuthnCredential

from accounts.joining import links
from accounts.joining.models import Invitation
from accounts.joining.notices import ADDRESS_CHANGED, ALREADY_REGISTERED, FIRST_PASSWORD
from accounts.notifications import kinds, sending
from accounts.notifications.models import Delivery
from accounts.notifications.services import notify, send_mail
from accounts.second_factor.models import Authenticator
from accounts.second_factor.tests.phones import code, enrolled, phone_of, wrong_code
from accounts.users.models import Grant, Membership, Role, User
from accounts.users.tests.factories import PASSWORD, MembershipFactory, UserFactory
from clinic.patients import custom_fields, presenting, services
from clinic.patients.models import CustomField, DocumentType, EmergencyAccess, Insurer, Patient
from clinic.patients.tests.factories import PatientFactory
from clinic.scheduling import services as book_of_visits
from clinic.scheduling.models import Appointment, ReminderRule
from clinic.scheduling.reminders import send_due_reminders
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from clinic.scheduling.tests.factories import make_location, make_practitioner, make_type
from clinic.scheduling.waiting import join_waiting_list
from config.look import wording
from config.look.tests.test_templates import WordReader
from scripts import messages
from tenancy.audit import services as audit
from tenancy.tenants.context import finish_pending
from tenancy.tenants.tests.contexts import outside_tenant

SPANISH = {"HTTP_ACCEPT_LANGUAGE": "es-CO,es;q=0.9,en;q=0.1"}
# Names and words that people have typed, and codes; they read the same in every language.
TYPED = ["Aurelia", "Quiñones", "Ada Admin", "Riverside Clinic", "Wayuunaiki", "Penicilina", "Caídas", "Casa",
         "Tuluá", "Estrato", "alto", "Traslado", "CC", "EPS-778", "Sura-X", "CO", "Dra", "Cra", "English", "Español",
         "Carewright", "Asma", "API", "UTC", "Nora Nurse", "Dario Doctor", "Harbor Clinic", "Comité", "Turno", "Jaime",
         "Llavero", "pytest", "550 5.1.1", "admin"]  # fmt: skip
ADDRESS = re.compile(r"[^\s⟦]+@\S+\.(?:example|org)|https?://[^\s⟧]+")
ENROL, SECURITY, CHALLENGE = "/account/security/enrol/", "/account/security/", "/sign-in/second-factor/"
BAD_WORDS = {"password": "x", "repeated": "y", "current": "z", "name": "Jaime", "email": "x"}


@pytest.fixture
def member(admin):
    admin.user.language = "es"
    admin.user.save()
    return admin


@pytest.fixture
def patient(member):
    """Everything is known, was changed, asked, looked at."""
    custom_fields.define_custom_field(by=member, key="tier", label="Estrato", type=CustomField.Type.TEXT)
    patient = PatientFactory(
        by=member, title="Dra", first_name="Aurelia", first_last_name="Quiñones", birth_date=date(1978, 3, 14),
        document_type=DocumentType.objects.get(code="CC"), document_number="52123456", insurer=Insurer.objects.first(),
        cell_phone="3005550101", email="aq@example.org", address="Cra 7", city="Tuluá", country="CO",
        language="Wayuunaiki", needs_interpreter=True, blood_type="O+", marital_status="T", habeas_data=True,
        allergy_status="recorded", allergies="Penicilina", alerts="Caídas", medical_history="Asma",
        custom_fields={"tier": "alto"}, identifiers=[{"kind": "MR", "value": "EPS-778", "system": "Sura-X"}],
    )  # fmt: skip
    services.record_consent(patient, by=member, kind="research", granted=False, note="Casa")
    patient = services.update_patient(
        patient, by=member, changes={"city": "Casa", "birth_date": date(1978, 3, 15)}, expected_version=patient.version
    )
    for kind in ("chart", "edit", "history", "looks", "api"):
        audit.record_read(patient, by=member, kind=kind)
    return patient


@pytest.fixture
def scene(clinic, member, nurse, doctor, patient, client, page_client):
    """Who and what the pages are about. Everybody reads Spanish, also who is not signed in."""
    clinic.language, clinic.allows_registration = "es", True
    clinic.save()
    User.objects.filter(pk__in=[nurse.user_id, doctor.user_id]).update(language="es")
    client.defaults.update(SPANISH)
    return SimpleNamespace(
        clinic=clinic, member=member, nurse=nurse, doctor=doctor, patient=patient, anonymous=client, sign_in=page_client
    )


def read(pages):
    """Names and texts of answers. What leads elsewhere is not the page that was meant."""
    assert {name: page.status_code for name, page in pages.items() if page.status_code in {301, 302, 500}} == {}
    return {name: page.content.decode() for name, page in pages.items()}


def open_chart_pages(scene):
    """Name and text of every page about patients, as a browser gets them; sign-in and errors."""
    browser, anonymous, patient = scene.sign_in(scene.member), scene.anonymous, scene.patient
    at = {
        name: reverse(f"patients:{name}", args=[patient.pk])
        for name in ("chart", "edit", "history", "looks", "archive")
    }
    double = {"first_name": "Aurelia", "first_last_name": "Quiñones", "birth_date_day": "15", "birth_date_month": "3",
              "birth_date_year": "1978", "gender": "2", "allergy_status": "not_asked", "numbers-TOTAL_FORMS": "0",
              "numbers-INITIAL_FORMS": "0"}  # fmt: skip
    pages = {
        "sign-in": anonymous.get("/sign-in/"),
        "sign-in, refused": anonymous.post("/sign-in/", {"username": "x", "password": PASSWORD}),
        "list": browser.get("/patients/"),
        "list, two pages": browser.get("/patients/?page=1&limit=1"),
        "list, nobody": browser.get("/patients/?q=zzzz"),
        "chart": browser.get(at["chart"]),
        "today": browser.get("/"),
        "create": browser.get("/patients/new/"),
        "create, refused": browser.post("/patients/new/", {"birth_date_day": "31"}),
        "create, double": browser.post("/patients/new/", double),
        "edit": browser.get(at["edit"]),
        "edit, stale": browser.post(at["edit"], double | {"version": "1", "city": "Tuluá"}),
        "looks": browser.get(at["looks"]),
        "not found": browser.get("/nowhere/"),
        "archived": browser.post(at["archive"], {"reason": "Traslado", "version": patient.version}, follow=True),
        "history": browser.get(at["history"]),
        "history, a version": browser.get(at["history"] + "?version=1"),
    }
    pages = read(pages)
    for name in ("400", "403", "405", "409", "429", "500"):
        with translation.override("es"):
            pages[name] = render_to_string(f"errors/{name}.html", {"code": "", "trace_id": "1"})
    with translation.override("es"):
        pages["403, old form"] = render_to_string("errors/403.html", {"code": "csrf_failed"})
        pages["503"] = render_to_string("errors/500.html", {"status": 503})
    return pages


def open_account_pages(scene):
    """What somebody reads about themselves: profile, second factor, sign-ins, password, address, notifications."""
    type(scene.clinic).objects.filter(pk=scene.clinic.pk).update(
        two_factor_required=True, two_factor_since=timezone.now()
    )
    browser = scene.sign_in(scene.member, SERVER_NAME="localhost")  # where passkeys are possible
    scene.sign_in(scene.member)
    grant_everything(scene)
    pages = {
        "reminder": browser.get("/"),
        "profile": browser.get("/account/"),
        "profile, refused": browser.post("/account/", {"name": ""}),
        "security, nothing yet": browser.get(SECURITY),
        "enrol": browser.get(ENROL),
        "enrol, refused": browser.post(ENROL, {"code": ""}),
        "enrol, wrong": browser.post(ENROL, {"code": wrong_code(telephone(scene.member))}),
        "passkey, refused": browser.post(f"{SECURITY}passkeys/add/", {"passkey-name": "", "passkey-answer": ""}),
        "codes": browser.post(ENROL, {"code": code(telephone(scene.member))}),
        "codes, not kept": browser.post(f"{SECURITY}recovery-codes/kept/", {}, follow=True),
        "security": browser.get(SECURITY),
        "codes, kept": browser.post(f"{SECURITY}recovery-codes/kept/", {"kept": "on"}, follow=True),
    }
    passkey = WebAuthnCredential.objects.create(
        user=scene.member.user, name="Llavero", credential_id=b"x", public_key=b"\xa0", confirmed=True
    )
    pages |= {
        "security, a passkey": browser.get(SECURITY),
        "remove a passkey": browser.get(f"{SECURITY}passkeys/{passkey.pk}/remove/"),
        "remove a passkey, refused": browser.post(f"{SECURITY}passkeys/{passkey.pk}/remove/", {"password": "x"}),
        "switch off": browser.get(f"{SECURITY}switch-off/"),
        "new codes": browser.get(f"{SECURITY}recovery-codes/"),
        "new codes, made": browser.post(f"{SECURITY}recovery-codes/", {"password": PASSWORD}),
        "sign-ins": browser.get("/account/sign-ins/"),
        "sign-ins, ended": browser.post("/account/sign-ins/end-others/", follow=True),
        "password": browser.get("/account/password/"),
        "password, refused": browser.post("/account/password/", BAD_WORDS),
        "password, known": browser.post("/account/password/", dict.fromkeys(["current", "password", "repeated"], "kk")),
        "e-mail": browser.get("/account/e-mail/"),
        "e-mail, refused": browser.post("/account/e-mail/", {"email": "x", "password": ""}),
        "e-mail, wrong": browser.post("/account/e-mail/", {"email": "jaime@example.org", "password": "x"}),
        "e-mail, waiting": browser.post(
            "/account/e-mail/", {"email": "jaime@example.org", "password": PASSWORD}, follow=True
        ),
        "e-mail, stays": browser.post("/account/e-mail/", {"act": "forget"}, follow=True),
        "preferences": browser.get("/account/notifications/"),
        "preferences, saved": browser.post(
            "/account/notifications/", dict.fromkeys(kinds.CATEGORIES, "now"), follow=True
        ),
        "switched off": browser.post(f"{SECURITY}switch-off/", {"password": PASSWORD}, follow=True),
        "clinics": browser.get("/clinics/enter/"),
        "settings": browser.get("/people/settings/"),
        "settings, refused": browser.post("/people/settings/", {"idle_minutes": "99", "session_hours": "x"}),
    }
    return read(pages | open_late_pages(scene))


def telephone(member):
    return phone_of(Authenticator.objects.get(user=member.user))


def open_late_pages(scene):
    """What is left to somebody whose days to set up a second factor are over."""
    long_ago = timezone.now() - timedelta(days=30)
    type(scene.clinic).objects.filter(pk=scene.clinic.pk).update(two_factor_required=True, two_factor_since=long_ago)
    Membership.objects.filter(pk=scene.nurse.pk).update(created_at=long_ago)
    return {"enrol, late": scene.sign_in(scene.nurse).get("/", follow=True)}


def open_inbox_pages(scene):
    """Every kind of notification of every room, read and unread, in the inbox; mail that failed."""
    browser = scene.sign_in(scene.member)
    pages = {"inbox, nothing": browser.get("/notifications/")}
    for kind in kinds.all_kinds():
        notify(kind, [scene.member], params=dict.fromkeys(places_of(kind), "Casa"))
    for _ in range(2):
        send_mail(ALREADY_REGISTERED, to="jaime@example.org", about_id=str(scene.nurse.user_id))
    Delivery.objects.update(state="failed", last_error="550 5.1.1")
    pages |= {
        "inbox": browser.get("/notifications/?limit=100"),
        "inbox, nothing read": browser.get("/notifications/?show=read"),
        "inbox, read": browser.post("/notifications/read/", follow=True),
        "inbox, nothing unread": browser.get("/notifications/?show=unread"),
        "undelivered": browser.get("/notifications/undelivered/?limit=100"),
    }
    return read(pages)


def places_of(kind):
    return re.findall(r"%\((\w+)\)s", f"{kind.title} {kind.body}")


def grant_everything(scene):
    """A group, a role of the clinic's own, permissions given and kept, for a nurse with a history."""
    browser, nurse = scene.sign_in(scene.member), scene.nurse
    permission = {"permission": "metrics.view", "reason": "Traslado"}
    later = {"valid_until_day": "3", "valid_until_month": "4", "valid_until_year": "2099"}
    for address, sent in [
        ("/people/groups/new/", {"name": "Comité", "kind": "Casa", "permissions": ["metrics.view"]}),
        (f"/people/groups/1/add/{nurse.pk}/", {}),
        (f"/people/{nurse.pk}/permissions/new/", permission | {"effect": "grant"}),
        (f"/people/{nurse.pk}/permissions/new/", permission | later | {"effect": "deny"}),
        (f"/people/{nurse.pk}/roles/", {"roles": ["nurse", "doctor"], "reason": "Traslado"}),
        (f"/people/{nurse.pk}/edit/", {"department": "Casa", "specialization": "Asma", "specialties": "Casa"}),
        (f"/people/roles/{Role.objects.get(code='nurse').number}/copy/", {"name": "Turno"}),
    ]:
        assert browser.post(address, sent).status_code == 302, address
    grant = Grant.objects.filter(membership=nurse).first()
    assert browser.post(f"/people/{nurse.pk}/permissions/{grant.pk}/end/").status_code == 302
    finish_pending()


def open_staff_pages(scene):
    """People, roles, groups, invitations."""
    browser, nurse, doctor = scene.sign_in(scene.member), scene.nurse, scene.doctor
    groups_before = browser.get("/people/groups/")
    grant_everything(scene)
    enrolled(nurse.user)
    scene.sign_in(nurse, "totp")
    own, built_in = Role.objects.get(name="Turno").number, Role.objects.get(code="nurse").number
    person = f"/people/{nurse.pk}/"
    pages = {
        "people": browser.get("/people/"),
        "people, nobody": browser.get("/people/?q=zzzz&state=all"),
        "person": browser.get(person),
        "person, oneself": browser.get(f"/people/{scene.member.pk}/"),
        "person, edit": browser.get(f"{person}edit/"),
        "person, edit refused": browser.post(f"{person}edit/", {"specialties": "Casa" * 31}),
        "person, roles": browser.get(f"{person}roles/"),
        "person, roles refused": browser.post(f"{person}roles/", {}),
        "person, roles in conflict": browser.post(f"{person}roles/", {"roles": ["admin", "quality_manager"]}),
        "permission": browser.get(f"{person}permissions/new/"),
        "permission, refused": browser.post(f"{person}permissions/new/", {"permission": "x", "effect": "x"}),
        "second factor, reset": browser.get(f"{person}second-factor/reset/"),
        "second factor, reset refused": browser.post(f"{person}second-factor/reset/", {"reason": " "}),
        "second factor, is reset": browser.post(f"{person}second-factor/reset/", {"reason": "Traslado"}, follow=True),
        "deactivate, refused": browser.post(f"/people/{doctor.pk}/deactivate/", {"reason": ""}, follow=True),
        "deactivated": browser.post(f"/people/{doctor.pk}/deactivate/", {"reason": "Traslado"}, follow=True),
        "people, inactive": browser.get("/people/?state=inactive"),
        "let in again": browser.post(f"/people/{doctor.pk}/reactivate/", {"reason": "Traslado"}, follow=True),
        "roles": browser.get("/people/roles/"),
        "role": browser.get(f"/people/roles/{own}/"),
        "role, built in": browser.get(f"/people/roles/{built_in}/"),
        "role, built in stays": browser.get(f"/people/roles/{built_in}/edit/", follow=True),
        "role, new": browser.get("/people/roles/new/"),
        "role, refused": browser.post("/people/roles/new/", {"name": "Turno", "permissions": ["metrics.view"]}),
        "role, edit": browser.get(f"/people/roles/{own}/edit/"),
        "role, deleted": browser.post(f"/people/roles/{own}/delete/", follow=True),
        "groups, none": groups_before,
        "groups": browser.get("/people/groups/"),
        "group": browser.get("/people/groups/1/?q=Ada"),
        "group, new": browser.get("/people/groups/new/"),
        "group, refused": browser.post("/people/groups/new/", {"name": "Comité"}),
        "group, edit": browser.get("/people/groups/1/edit/"),
        "group, over": browser.post("/people/groups/1/end/", {"reason": "Traslado"}, follow=True),
        "groups, over": browser.get("/people/groups/?ended=true"),
    }
    return read(pages | open_invitation_pages(browser))


def open_invitation_pages(browser):
    invited = {"name": "Jaime", "email": "jaime@example.org", "roles": ["nurse"]}
    pages = {
        "invite, nobody yet": browser.get("/people/invite/"),
        "invite, refused": browser.post("/people/invite/", {"email": "x"}),
        "invited": browser.post("/people/invite/", invited, follow=True),
        "invited, twice": browser.post("/people/invite/", invited),
    }
    invitation = Invitation.objects.get()
    pages["invited again"] = browser.post(f"/people/invite/{invitation.pk}/resend/", follow=True)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
    pages["invite, too old"] = browser.get("/people/invite/")
    pages["withdrawn"] = browser.post(f"/people/invite/{invitation.pk}/withdraw/", follow=True)
    return pages


def open_outside_pages(scene):
    """What is read by people who are not signed in: second factor, reset, invitation, registration."""
    phone, anonymous = enrolled(scene.nurse.user), scene.anonymous
    password = {"username": scene.nurse.user.email, "password": PASSWORD}
    assert anonymous.post("/sign-in/", password)["Location"] == CHALLENGE
    pages = {
        "locked": anonymous.get("/sign-in/?locked=1"),
        "challenge": anonymous.get(CHALLENGE),
        "challenge, refused": anonymous.post(CHALLENGE, {"code": ""}),
        **{f"challenge, wrong {time}": anonymous.post(CHALLENGE, {"code": wrong_code(phone)}) for time in range(5)},
        "challenge, too late": anonymous.get(CHALLENGE, follow=True),
        "reset": anonymous.get("/password-reset/"),
        "reset, refused": anonymous.post("/password-reset/", {"email": "x"}),
        "reset, sent": anonymous.post("/password-reset/", {"email": "jaime@example.org"}, follow=True),
        "set a password": anonymous.get(link_to_password(scene.doctor.user), follow=True),
        "set a password, refused": anonymous.post(f"{link_to_password(scene.doctor.user, 'set')}", BAD_WORDS),
        "no link": anonymous.get("/join/x/"),
        "register": anonymous.get("/join/"),
        "register, refused": anonymous.post("/join/", BAD_WORDS),
        "registered": anonymous.post(
            "/join/",
            {"name": "Jaime", "email": "new@example.org", "clinic": scene.clinic.slug}
            | dict.fromkeys(["password", "repeated"], "three loud blue teapots"),
            follow=True,
        ),
    }
    joining = User.objects.get(email="new@example.org")
    token = links.sign_address(joining, email=joining.email, tenant_id=scene.clinic.pk)
    pages |= {
        "confirm": anonymous.get(f"/confirm-email/{token}/"),
        "confirm, refused": anonymous.post(f"/confirm-email/{token}/", {"password": "x"}),
        "confirmed": anonymous.post(f"/confirm-email/{token}/", {"password": "three loud blue teapots"}, follow=True),
        "confirm, used": anonymous.get(f"/confirm-email/{token}/"),
    }
    browser = scene.sign_in(scene.member)
    for email in ("jaime@example.org", UserFactory().email):
        browser.post("/people/invite/", {"name": "Jaime", "email": email, "roles": ["nurse"]})
    new, known = (f"/join/{links.sign_invitation(one)}/" for one in Invitation.objects.order_by("created_at"))
    pages |= {
        "accept": anonymous.get(new),
        "accept, refused": anonymous.post(new, BAD_WORDS),
        "accept, known": anonymous.get(known),
        "accept, known refused": anonymous.post(known, {"password": "x"}),
    }
    type(scene.clinic).objects.update(allows_registration=False)
    pages["no registration"] = anonymous.get("/join/")
    return read(pages)


def link_to_password(user, token=""):
    user.refresh_from_db()
    uid, own = links.sign_password(user)
    return f"/password-reset/{uid}/{token or own}/"


def open_restricted_pages(scene):
    """A restricted chart, seen from its list and from outside, opened in an emergency, and reviewed."""
    patient, emergency = scene.patient, {"reason_code": "emergency", "reason": "Traslado Traslado"}
    at = f"/patients/{patient.pk}/"
    doctor, nurse = scene.sign_in(scene.doctor), scene.sign_in(scene.nurse)
    own = MembershipFactory(role="patient", user__name="Aurelia", user__language="es")
    User.objects.filter(pk=own.user_id).update(email=patient.email, email_confirmed_at=timezone.now())
    pages = {
        "chart, an account": doctor.get(at),
        "restrict, no reason": doctor.post(f"{at}restrict/", {"reason": ""}, follow=True),
        "restricted": doctor.post(f"{at}restrict/", {"reason": "Traslado"}, follow=True),
        "list, masked": nurse.get("/patients/"),
        "chart, its account": doctor.post(f"{at}link-account/", follow=True),
        "allowed": doctor.get(f"{at}allowed/"),
        "break glass": nurse.get(f"{at}break-glass/"),
        "break glass, refused": nurse.post(f"{at}break-glass/", {"reason_code": "x", "reason": "Casa"}),
        "break glass, not for them": reception(scene).get(f"{at}break-glass/"),
        "emergency": nurse.post(f"{at}break-glass/", emergency, follow=True),
    }
    reviewer = scene.sign_in(MembershipFactory(role="quality_manager", user__name="Jaime", user__language="es"))
    access = EmergencyAccess.objects.get()
    reviews = "/patients/emergency-access/"
    pages |= {
        "review, still open": reviewer.get(f"{reviews}{access.pk}/"),
        "emergency, over": nurse.post(f"{at}end-emergency/", follow=True),
        "today, somebody waits for a review": reviewer.get("/"),
        "reviews": reviewer.get(reviews),
        "review": reviewer.get(f"{reviews}{access.pk}/"),
        "review, refused": reviewer.post(f"{reviews}{access.pk}/", {"verdict": "not_justified"}),
        "reviewed": reviewer.post(f"{reviews}{access.pk}/", {"verdict": "not_justified", "note": "Casa"}, follow=True),
        "today, nobody waits": reviewer.get("/"),
        "today, a patient": scene.sign_in(own).get("/"),
        "review, read": nurse.get(f"{reviews}{access.pk}/"),
        "looks": doctor.get(f"{at}looks/"),
        "lifted": doctor.post(f"{at}lift-restriction/", {"reason": "Traslado"}, follow=True),
    }
    return read(pages)


def reception(scene):
    return scene.sign_in(MembershipFactory(role="staff", user__name="Jaime", user__language="es"))


AREAS = {
    "charts": open_chart_pages,
    "restricted charts": open_restricted_pages,
    "one's own account": open_account_pages,
    "inbox": open_inbox_pages,
    "staff": open_staff_pages,
    "outside": open_outside_pages,
}


def open_administration(browser, patient):
    pages = {
        "administration": browser.get("/admin/"),
        "administration, patients": browser.get("/admin/patients/patient/"),
        "administration, a patient": browser.get(f"/admin/patients/patient/{patient.pk}/change/"),
        "administration, staff": browser.get("/admin/users/membership/"),
        "administration, a member": browser.get(f"/admin/users/membership/{patient.updated_by_id}/change/"),
        "administration, sign-ins": browser.get("/admin/users/session/"),
        "administration, a field": browser.get("/admin/patients/customfield/add/"),
    }
    assert {page.status_code for page in pages.values()} == {200}
    # Django draws the magnifying glass of a search with this word, whatever the language.
    return {name: page.content.decode().replace('alt="Search"', "") for name, page in pages.items()}


# The words that static/js shows or announces.
SAID_BY_SCRIPT = {"data-done", "data-failed", "data-locked-title", "data-saving", "data-seconds", "data-unreachable"}


class TextReader(WordReader):
    """All pieces of text, also those without a letter, and those a script says later."""

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        self._note(*(value or "" for name, value in attrs if name in SAID_BY_SCRIPT))

    def _note(self, *texts):
        self.words += [text for text in texts if text.strip()]


def words_of(page):
    reader = TextReader()
    reader.feed(page)
    reader.close()
    return [" ".join(words.split()) for words in reader.words]


# --- Nothing English -------------------------------------------------------------------------------------------------


OWN_NAMES = {"English"}  # a language is called by its own name where it is chosen


def english_patterns():
    """Every message that reads otherwise in Spanish, as a pattern for a whole piece of text."""
    for entry in messages.read_catalogue():
        if all(place.startswith("templates/docs/") for place, _line in entry.occurrences):
            continue  # the API is described in English
        texts = zip([entry.msgid, entry.msgid_plural], [entry.msgstr, *entry.msgstr_plural.values()], strict=False)
        for english, spanish in texts:
            if english and english != spanish and english not in OWN_NAMES:
                pieces = re.split(r"%\(\w+\)[sd]|%s", " ".join(english.split()))
                yield ".+".join(map(re.escape, pieces))


def list_english(page):
    pattern = re.compile("|".join(english_patterns()))
    return [words for words in words_of(page) if pattern.fullmatch(words)]


def list_pages_with_english(pages):
    return {name: found for name, page in pages.items() if (found := list_english(page))}


@pytest.mark.parametrize("area", AREAS)
def test_pages_in_spanish_say_nothing_in_english(scene, area):
    pages = AREAS[area](scene)

    assert list_pages_with_english(pages) == {}
    assert {name for name, page in pages.items() if '<html lang="es"' not in page} == set()


def test_administration_in_spanish_says_nothing_in_english(settings, member, patient, page_client):
    settings.DEMO = True  # it lets nobody else in without a second factor
    pages = open_administration(page_client(member), patient)

    assert list_pages_with_english(pages) == {}
    assert {name for name, page in pages.items() if '<html lang="es"' not in page} == set()


def test_list_english_finds_a_whole_text_and_one_with_a_name_in_it():
    assert list_english("<h1>Patients</h1><p>Pacientes</p><p>Go to Patients</p>") == ["Patients", "Go to Patients"]
    assert list_english('<p aria-label="Patient Ana">Ana</p>') == ["Patient Ana"]


def test_dates_names_and_refusals_are_spanish(scene):
    pages = {name: " ".join(words_of(page)) for name, page in open_chart_pages(scene).items()}

    assert "15 mar 1978" in pages["chart"]
    assert "antes 14 mar 1978 → ahora 15 mar 1978" in pages["history"]
    assert "Alergia: Penicilina" in pages["chart"]
    assert "Cédula de ciudadanía" in pages["chart"]
    assert "Otra persona guardó antes que usted." in pages["edit, stale"]
    assert "Este campo es obligatorio." in pages["create, refused"]
    assert "Correo o contraseña incorrectos" in pages["sign-in, refused"]
    assert "Aquí no hay nada" in pages["not found"]


def test_numbers_are_parted_as_in_spanish(member, page_client, monkeypatch):
    monkeypatch.setattr("clinic.patients.selectors.count_patients", lambda by, limit: 4321)

    assert "más de 1.000" in words_of(page_client(member).get("/").content.decode())


def test_times_in_words_are_those_of_the_clinic(member, patient, page_client):
    services.archive_patient(patient, by=member, reason="Traslado")
    type(patient).objects.filter(pk=patient.pk).update(archived_at=datetime(2026, 11, 21, 2, 30, tzinfo=UTC))

    page = page_client(member).get(reverse("patients:history", args=[patient.pk]))

    assert "20 nov 2026, 21:30" in " ".join(words_of(page.content.decode()))
    assert timezone.get_current_timezone_name() == settings.TIME_ZONE


# --- Mails -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mails(scene):
    """What leaves for people who read Spanish: to strangers, and one mail of every kind of notification."""
    browser, anonymous, user = scene.sign_in(scene.member), scene.anonymous, scene.nurse.user
    new = {"name": "Jaime", "clinic": scene.clinic.slug} | dict.fromkeys(["password", "repeated"], "three blue teapots")
    browser.post("/people/invite/", {"name": "Jaime", "email": "jaime@example.org", "roles": ["nurse", "doctor"]})
    browser.post("/account/e-mail/", {"email": "ada@example.org", "password": PASSWORD})
    anonymous.post("/password-reset/", {"email": user.email})
    for email in ("new@example.org", user.email, UserFactory(name="Jaime").email):
        anonymous.post("/join/", new | {"email": email})
    for kind in (ADDRESS_CHANGED, FIRST_PASSWORD):
        send_mail(
            kind,
            to=user.email,
            language="es",
            about_id=str(user.pk),
            params={"version": User.objects.get(pk=user.pk).link_version},
        )
    write_about_visits(scene)
    for kind in kinds.all_kinds():
        notify(kind, [scene.doctor], params=dict.fromkeys(places_of(kind), "Casa"))
    Delivery.objects.update(next_try_at=timezone.now())  # the daily summaries, too
    mail.outbox = []
    with outside_tenant():
        sending.deliver_due(scene.clinic.pk)
    assert not Delivery.objects.exclude(state="sent").exists()
    return {message.subject: as_page(message) for message in mail.outbox}


def write_about_visits(scene):
    """Every mail about a visit: booked, asked for, moved, reminded of, cancelled, and its time offered to another."""
    place, doctor, kind = make_location("Casa"), make_practitioner("Dario", "Doctor"), make_type("casa", name="Casa")
    near = timezone.now().replace(second=0, microsecond=0) + timedelta(hours=30)

    def book(hours, state=State.BOOKED, **fields):
        wanted = Wanted(patient=PatientFactory(email="aurelia@example.org"), practitioner=doctor, location=place,
                        type=kind, starts_at=near + timedelta(hours=hours), **fields)  # fmt: skip
        return book_of_visits.book(wanted, by=scene.nurse, state=state)

    visit, gone = book(0), book(24, tells_patient=False)
    book(48, State.REQUESTED)
    book_of_visits.reschedule(visit, by=scene.nurse, starts_at=near + timedelta(hours=2))
    Appointment.objects.filter(pk=visit.pk).update(created_at=near - timedelta(days=3))
    ReminderRule.objects.create(hours_before=40)
    assert send_due_reminders() == 1
    day = gone.starts_at.date()
    join_waiting_list(by=scene.nurse, patient=PatientFactory(email="jaime@example.org"), type=kind,
                      earliest=day - timedelta(days=1), latest=day + timedelta(days=1))  # fmt: skip
    book_of_visits.move(gone, State.CANCELLED, by=scene.nurse, reason="Casa")


def as_page(message):
    """A mail as a page of paragraphs; its addresses and links read the same in every language."""
    return "".join(f"<p>{ADDRESS.sub('', line)}</p>" for line in [message.subject, *message.body.splitlines()])


def test_mails_in_spanish_say_nothing_in_english(mails):
    assert list_pages_with_english(mails) == {}
    assert {kind.code for kind in kinds._mail_kinds.values()} == set(
        Delivery.objects.filter(recipient=None).values_list("kind", flat=True)
    )


def test_invitation_reset_and_security_mail_are_spanish(mails):
    texts = {subject: " ".join(words_of(page)) for subject, page in mails.items()}

    assert "Hola, Jaime," in texts["Invitación a Riverside Clinic"]
    assert "Su rol: Enfermero(a), Médico(a)." in texts["Invitación a Riverside Clinic"]
    assert "Sirve una sola vez, durante 7 días." in texts["Invitación a Riverside Clinic"]
    assert "Sirve una sola vez, durante 60 minutos." in texts["Elija una contraseña nueva"]
    assert "Si no fue usted, elija una contraseña nueva de inmediato" in texts["Su contraseña cambió"]


# --- Nothing past gettext --------------------------------------------------------------------------------------------


@pytest.fixture
def brackets(monkeypatch):
    """Spanish, with every text from a catalogue in brackets."""
    catalogue = trans_real.translation("es")
    one, many = catalogue.gettext, catalogue.ngettext
    monkeypatch.setattr(catalogue, "gettext", lambda text: f"⟦{one(text)}⟧")
    monkeypatch.setattr(catalogue, "ngettext", lambda *args: f"⟦{many(*args)}⟧")
    remembered = wording._write_day, presenting.dialog_fields
    for words in remembered:
        words.cache_clear()
    yield
    for words in remembered:
        words.cache_clear()


def list_outsiders(page, typed):
    """Words outside of brackets that nobody has typed."""
    known = re.compile("|".join(re.escape(word) for word in sorted(typed, key=len, reverse=True)), re.IGNORECASE)
    rest, count = ADDRESS.sub("", "\n".join(words_of(page))), 1
    while count:  # from the inside out; a text may go on behind an element that stands in its middle
        rest, count = re.subn(r"⟦[^⟦⟧]*⟧", "", rest)
    return [words for words in rest.splitlines() if re.search(r"[^\W\d_]", known.sub("", words))]


@pytest.mark.parametrize("area", AREAS)
def test_no_word_reaches_a_page_past_gettext(brackets, scene, area):
    pages = AREAS[area](scene)
    typed = [*TYPED, *Patient.BloodType.values, *Insurer.objects.values_list("name", flat=True)]

    assert {name: found for name, page in pages.items() if (found := list_outsiders(page, typed))} == {}


def test_no_word_reaches_a_mail_past_gettext(brackets, mails):
    assert {name: found for name, page in mails.items() if (found := list_outsiders(page, TYPED))} == {}


def test_list_outsiders_finds_words_outside_of_brackets():
    page = "<p>⟦Paciente ⟦ANA⟧⟧, Ana 12</p><p>Saved ⟦ahora⟧</p><p>⟦Desde <b>hoy</b> aquí⟧</p>"

    assert list_outsiders(page, ["Ana"]) == ["Saved "]
