import json
import time
from collections import Counter
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.permissions import DEFAULT_ROLES
from accounts.users.models import Grant, Group, Membership, Role, User
from clinic.patients.models import CustomField, Patient, PatientVersion
from clinic.patients.selectors import find_possible_duplicates, list_patients
from clinic.scheduling.models import Appointment, Leave, ReminderRule, WaitingEntry, WorkingHours
from config.home import demo
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant


@pytest.fixture
def seeded(db, settings, capsys):
    """Both demo clinics; the logins the command named."""
    settings.DEMO = True
    call_command("seed_demo", "--json")
    return json.loads(capsys.readouterr().out)


def member(role):
    return Membership.objects.filter(held_roles__role__code=role).select_related("user").order_by("id").first()


MODELS = (
    *(Membership, Patient, PatientVersion, CustomField, Group, Role, Grant, AuditEntry),
    *(Appointment, WorkingHours),
)


def everything():
    """How much there is of what a second run could add to or change."""
    found = {"people": User.objects.count()}
    for tenant in Tenant.objects.order_by("slug"):
        with tenant_context(tenant.id):
            found[tenant.slug] = [model.objects.count() for model in MODELS]
    return found


def test_seed_demo_makes_two_clinics_to_look_at(seeded, capsys):
    logins = seeded
    first = everything()

    # Who may sign in: everybody the command names, in every clinic it names.
    assert {login["role"] for login in logins if login["clinic"] == "demo"} <= set(DEFAULT_ROLES)
    assert sorted(login["clinic"] for login in logins if login["email"] == "float@demo.example") == ["demo", "harbor"]
    assert all(User.objects.get(email=login["email"]).check_password(login["password"]) for login in logins)
    assert [tenant.two_factor_required for tenant in Tenant.objects.all()] == [False, False]

    with tenant_context(Tenant.objects.get(slug="demo").id):
        nurse = member("nurse")
        namesakes = list(list_patients(by=nurse, search="Mariana Jiménez Muñoz"))
        hurried = Patient.objects.get(first_last_name="Rodriguez", second_last_name="Gomez", first_name="Carlos")
        assert Patient.objects.count() == 346
        assert Patient.objects.filter(archived_at__isnull=False).count() == 1
        assert {status for (status,) in Patient.objects.values_list("allergy_status").distinct()} == {
            "not_asked",
            "none_known",
            "recorded",
        }
        assert Patient.objects.filter(needs_interpreter=True).exists()
        assert len(find_possible_duplicates(hurried, by=nurse)) == 1
        assert PatientVersion.objects.filter(pgh_obj__number=1).count() == 3
        assert CustomField.objects.count() == 3
    with tenant_context(Tenant.objects.get(slug="harbor").id):
        others = list(list_patients(by=member("nurse"), search="Mariana Jiménez Muñoz"))
        assert Patient.objects.count() == 60
    assert len(namesakes) == len(others) == 1
    assert namesakes[0].pk != others[0].pk

    # Again: the same logins, nothing written, at once.
    started = time.monotonic()
    call_command("seed_demo", "--json")
    assert time.monotonic() - started < 1
    assert json.loads(capsys.readouterr().out) == logins
    assert everything() == first


def test_seed_demo_fills_the_book(seeded):
    with tenant_context(Tenant.objects.get(slug="demo").id):
        visits = Appointment.objects.select_related("location").filter(patient__user=None)
        today = timezone.now().astimezone(ZoneInfo("America/Bogota")).date()
        days = Counter(visit.wall_start[:10] for visit in visits)
        assert 20 <= days.pop(str(today)) <= 40
        assert 8 <= len(days) <= 11
        assert all(9 <= count <= 20 for count in days.values())
        assert len({visit.state for visit in visits}) >= 3
        counts = [model.objects.count() for model in (Leave, WaitingEntry, ReminderRule)]
        assert counts == [1, 2, 1]
        numbers = Appointment.objects.order_by("number").values_list("number", flat=True)
        assert list(numbers) == list(range(1, len(numbers) + 1))
    with tenant_context(Tenant.objects.get(slug="harbor").id):
        assert {visit.time_zone for visit in Appointment.objects.all()} == {"Europe/London"}


def test_seed_demo_has_a_patient_with_pages_of_their_own(seeded, page_client):
    assert {"patient@demo.example"} == {login["email"] for login in seeded if login["role"] == "patient"}
    demo_clinic = Tenant.objects.get(slug="demo")
    with tenant_context(demo_clinic.id):
        lucia = member("patient")
        coming = Appointment.objects.filter(patient__user=lucia.user, starts_at__gt=timezone.now())
        assert sorted(coming.values_list("state", flat=True)) == ["booked", "booked", "requested"]
        assert Appointment.objects.filter(patient__user=lucia.user, state="completed").count() == 2
    page = page_client(lucia).get("/my/visits/").content.decode()
    assert "General consultation" in page
    assert "Asked for, not confirmed yet" in page


def test_seed_demo_finishes_what_was_interrupted(db, settings, monkeypatch, capsys):
    settings.DEMO = True
    monkeypatch.setattr(demo, "CLINICS", (demo.HARBOR,))
    with monkeypatch.context() as broken:
        broken.setattr(demo, "NAMESAKES", ({"gender": "no such word"},))
        with pytest.raises(Exception, match="does not exist"):
            call_command("seed_demo")
    capsys.readouterr()

    call_command("seed_demo")

    assert "harbor   nurse@harbor.example" in capsys.readouterr().out
    with tenant_context(Tenant.objects.get().id):
        assert Patient.objects.count() == 60
        assert Membership.objects.count() == 3


def test_seed_demo_refuses_outside_of_the_demo(db, settings):
    settings.DEMO = False

    with pytest.raises(CommandError, match="Everybody knows the password"):
        call_command("seed_demo")

    assert not Tenant.objects.exists()


def test_seed_demo_uses_a_password_the_rules_allow(db):
    validate_password(demo.PASSWORD, User(email="admin@demo.example", username="admin@demo.example", name="Camila"))


def test_demo_data_is_small_and_says_whose_it_is():
    names = [name for clinic in demo.CLINICS for name in clinic.files] + ["composed_patients.jsonl"]
    readme = (demo.DATA / "README.md").read_text()

    assert sum((demo.DATA / name).stat().st_size for name in names) < 700_000
    assert all(name in readme for name in names)


def test_seed_demo_gives_the_clinic_groups_and_a_role_of_its_own(seeded):
    demo_clinic = Tenant.objects.get(slug="demo")
    assert (demo_clinic.idle_minutes, demo_clinic.allows_registration) == (30, True)

    with tenant_context(demo_clinic.id):
        assert Group.objects.count() == len(demo.GROUPS)
        assert [role.name for role in Role.objects.filter(is_built_in=False)] == ["Ward clerk"]
        assert [role.code for role in member("staff").roles] == ["staff", "ward_clerk"]
        assert member("nurse").may("metrics.view")
