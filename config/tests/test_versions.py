"""ETag and If-Match on whatever can be changed or taken away at the doors (decision X18; security.md CC-03)."""

import threading

import pytest
from django.core.cache import caches
from django.db import connection

from accounts.api_keys import services as keys
from accounts.api_keys.tests.fixtures import server_with
from accounts.users.models import Session
from accounts.users.tests.factories import MembershipFactory, open_clinic
from accounts.users.tests.fixtures import ProgramClient, open_session, tokens_of
from clinic.patients.tests.factories import PatientFactory
from config import openapi
from tenancy.tenants.context import tenant_context

UNVERSIONED = {
    "/v1/webhook-deliveries/{id}": "The house alone changes it, while it is tried; nobody writes over it.",
}
"""Single things without an ETag, each with the reason."""

STALE = {"If-Match": '"long-ago"'}


@pytest.fixture(autouse=True)
def no_limits(settings):
    settings.RATE_LIMIT_SCALE = 100_000


# --- What the document says ------------------------------------------------------------------------------------------


def test_every_change_of_one_thing_takes_if_match():
    without = set()
    for path, methods in openapi.schema()["paths"].items():
        for method in {"put", "patch", "delete"} & set(methods):
            parameters = {parameter["name"] for parameter in methods[method].get("parameters", [])}
            if "If-Match" not in parameters or "412" not in methods[method]["responses"]:
                without.add(f"{method} {path}")

    assert without == set()


def test_every_single_thing_has_an_etag():
    """What can be read by its own address says which version it is."""
    without = {
        path
        for path, methods in openapi.schema()["paths"].items()
        if path.endswith("}") and "get" in methods and "{name}" not in path
        if "ETag" not in methods["get"]["responses"]["200"]["headers"]
    }

    assert without == set(UNVERSIONED)


# --- What happens ----------------------------------------------------------------------------------------------------


@pytest.fixture
def program(admin, api_client):
    return api_client(admin)


def made(program, path, body):
    answer = program.post(path, body)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def member(program):
    return f"/api/users/{MembershipFactory().user_id}"


def grant(program):
    person = member(program)
    body = {"permission": "metrics.view", "effect": "grant", "reason": "Report"}
    return f"{person}/permissions/{made(program, f'{person}/permissions', body)['items'][0]['id']}"


def group(program):
    return f"/api/groups/{made(program, '/api/groups', {'name': 'Hygiene', 'type': 'Department'})['id']}"


def group_member(program):
    person, where = MembershipFactory(), group(program)
    assert program.post(f"{where}/add-member", {"user_id": str(person.user_id)}).status_code == 201
    return f"{where}/remove-member/{person.user_id}"


def role(program):
    return f"/api/roles/{made(program, '/api/roles', {'name': 'Ward clerk', 'permissions': ['patients.view']})['id']}"


def invitation(program):
    body = {"email": "nora@riverside.example", "name": "Nora Arango", "role": "nurse"}
    return f"/api/invitations/{made(program, '/api/invitations', body)['id']}"


def specialty(program):
    return f"/api/specialties/{made(program, '/api/specialties', {'name': 'Dreams'})['id']}"


def patient(program):
    return f"/api/patients/{PatientFactory().pk}"


CHANGES = [
    # where it is, method, what is sent, where its ETag is read when not there
    (patient, "patch", {"phone": "+573001234567"}, ""),
    (member, "patch", {"department": "Ward 3"}, ""),
    (lambda program: f"{member(program)}/roles", "put", {"roles": ["doctor"], "reason": "New"}, "/roles"),
    (lambda program: "/api/users/me", "patch", {"phone": "+573001234567"}, ""),
    (group, "put", {"name": "Hygiene and water", "type": "Department"}, ""),
    (group, "delete", None, ""),
    (role, "patch", {"name": "Clerk of the ward"}, ""),
    (lambda program: f"{role(program)}/permissions", "put", {"permissions": ["training.read"]}, "/permissions"),
    (role, "delete", None, ""),
    (specialty, "patch", {"name": "Sleep"}, ""),
    (specialty, "delete", None, ""),
]


@pytest.mark.parametrize(("place", "method", "body", "suffix"), CHANGES)
def test_a_stale_version_is_412_and_the_current_one_is_taken(program, place, method, body, suffix):
    path = place(program)
    etag = program.get(path.removesuffix(suffix))["ETag"]
    act = getattr(program, method)

    stale = act(path, body, headers=STALE)
    done = act(path, body, headers={"If-Match": etag})
    again = act(path, body, headers={"If-Match": etag})

    assert (stale.status_code, stale.json()["code"]) == (412, "stale_version")
    assert done.status_code in {200, 204}, done.json()
    # It is another version now, or it is not there any more.
    assert again.status_code in ({404, 412, 409} if method == "delete" else {412})
    if method != "delete":
        assert done["ETag"] == program.get(path.removesuffix(suffix))["ETag"] != etag


@pytest.mark.parametrize(("place", "method", "body", "suffix"), CHANGES)
def test_without_a_version_nothing_is_asked(program, place, method, body, suffix):
    """Negative control: the header is what makes the difference."""
    assert getattr(program, method)(place(program), body).status_code in {200, 204}


@pytest.mark.parametrize(("place", "method", "body", "suffix"), CHANGES)
def test_what_was_read_is_not_sent_again(program, place, method, body, suffix):
    path = place(program).removesuffix(suffix)
    etag = program.get(path)["ETag"]

    assert program.get(path, headers={"If-None-Match": etag}).status_code == 304
    assert program.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_permission_goes_only_from_the_list_that_was_read(program):
    path = grant(program)
    permissions = path.rpartition("/")[0]
    etag = program.get(permissions)["ETag"]

    assert program.delete(path, headers=STALE).status_code == 412
    assert program.delete(path, headers={"If-Match": etag}).status_code == 204
    assert program.get(permissions)["ETag"] != etag


def test_somebody_leaves_only_the_group_that_was_read(program):
    path = group_member(program)
    where = path.partition("/remove-member")[0]
    etag = program.get(where)["ETag"]

    assert program.delete(path, headers=STALE).status_code == 412
    assert program.delete(path, headers={"If-Match": etag}).status_code == 204
    # Who is in a group is part of what is read.
    assert program.get(where)["ETag"] != etag


def test_an_invitation_is_withdrawn_as_it_was_sent(program):
    body = {"email": "nora@riverside.example", "name": "Nora Arango", "role": "nurse"}
    sent = program.post("/api/invitations", body)
    path = f"/api/invitations/{sent.json()['id']}"

    assert program.delete(path, headers=STALE).status_code == 412
    assert program.delete(path, headers={"If-Match": sent["ETag"]}).status_code == 204


def test_being_seen_makes_no_new_version_of_a_person(program, api_client):
    nurse = MembershipFactory()
    etag = program.get(f"/api/users/{nurse.user_id}")["ETag"]
    api_client(nurse).get("/api/auth/me")

    assert program.get(f"/api/users/{nurse.user_id}")["ETag"] == etag


def test_a_clinic_of_the_platform_has_a_version(operator):
    clinic = operator.post("/v1/tenants", {"name": "Version Clinic"})
    path = f"/v1/tenants/{clinic.json()['id']}"

    assert operator.get(path)["ETag"] == clinic["ETag"]
    assert operator.patch(path, {"name": "Stale"}, headers=STALE).status_code == 412
    assert operator.patch(path, {"name": "New Clinic"}, headers={"If-Match": clinic["ETag"]}).status_code == 200
    assert operator.patch(path, {"name": "Newer"}, headers={"If-Match": clinic["ETag"]}).status_code == 412


@pytest.fixture
def operator(db):
    return server_with(keys.create_platform_key(name="operator")[1])


# --- Many at once ----------------------------------------------------------------------------------------------------


def test_cc03_of_many_who_name_the_same_version_one_is_first(committed_db):
    tenant, admin = open_clinic()
    with tenant_context(tenant.id):
        admin.permissions
        person = MembershipFactory()
    token = tokens_of(open_session(admin, Session.Kind.TOKEN))[0]

    def program():
        client = ProgramClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client

    made_specialty = program().post("/api/specialties", {"name": "Dreams"}).json()["id"]
    for path, field in ((f"/api/specialties/{made_specialty}", "name"), (f"/api/users/{person.user_id}", "department")):
        etag, answers, gate = program().get(path)["ETag"], [], threading.Barrier(16)

        def change(number, path=path, field=field, etag=etag, answers=answers, gate=gate):
            client = program()
            gate.wait()
            answers.append(client.patch(path, {field: f"by {number}"}, headers={"If-Match": etag}).status_code)
            connection.close()
            caches.close_all()

        threads = [threading.Thread(target=change, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(answers) == [200] + [412] * 15
