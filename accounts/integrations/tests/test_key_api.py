"""`/v1/auth/api-keys` and `/v1/tenants` (S2, S3, S4; contract.md 5.1)."""

import uuid

import pytest

from accounts.api_keys import services
from accounts.api_keys.models import ApiKey
from accounts.api_keys.tests.fixtures import server_with
from accounts.users.models import Grant, Membership
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import tenant_context
from tenancy.tenants.models import Tenant
from tenancy.tenants.tests.contexts import outside_tenant


@pytest.fixture
def operator(db):
    """A program with a platform key."""
    with outside_tenant():
        _key, plaintext = services.create_platform_key(name="Operator")
    return server_with(plaintext)


# --- Who comes in ----------------------------------------------------------------------------------------------------


def test_s4_without_a_key_the_answer_says_which_header(anonymous_api):
    answer = anonymous_api.get("/v1/auth/api-keys")

    assert answer.status_code == 401
    assert answer.json()["detail"] == "API key required. Provide X-Api-Key header."
    assert answer["WWW-Authenticate"] == 'ApiKey realm="carewright"'


@pytest.mark.parametrize("text", ["x", "cwk_" + "A" * 22 + "_ABCDEFGH_" + "s" * 43, "cwp_ABCDEFGH_" + "s" * 43, "é"])
def test_s4_an_unknown_key_is_refused(clinic, text):
    answer = server_with(text).get("/v1/auth/api-keys")

    assert answer.status_code == 401
    assert answer.json()["detail"] == "Invalid API key"


def test_s4_an_empty_header_is_no_key(clinic):
    assert server_with("").get("/v1/auth/api-keys").json()["detail"] == "API key required. Provide X-Api-Key header."


def test_s4_other_doors_take_no_keys(key_client):
    assert key_client().get("/api/patients").status_code == 401


def test_x1_a_key_beside_a_token_is_two_callers(key_client, api_client, admin):
    program = api_client(admin)
    program.defaults["HTTP_X_API_KEY"] = key_client().defaults["HTTP_X_API_KEY"]

    assert program.get("/v1/auth/api-keys").status_code == 400


def test_x1_cookies_do_not_open_the_door_for_servers(cookie_client, admin):
    assert cookie_client(admin).get("/v1/auth/api-keys").status_code == 401


def test_a_member_with_the_permission_comes_in_by_bearer(api_client, admin, nurse):
    assert api_client(admin).get("/v1/auth/api-keys").status_code == 200
    assert api_client(nurse).get("/v1/auth/api-keys").status_code == 403


def test_a_key_without_the_admin_scope_is_403(key_client):
    assert key_client("patients:write").get("/v1/auth/api-keys").status_code == 403


# --- Keys ------------------------------------------------------------------------------------------------------------


def test_s3_a_key_is_made_and_works_at_once(key_client, clinic):
    answer = key_client().post("/v1/auth/api-keys", {"name": "chatbot", "scopes": ["admin"]})

    assert answer.status_code == 201
    body = answer.json()
    assert body["api_key"]["tenant_id"] == str(clinic.pk)
    assert body["api_key"]["prefix"] in body["plaintext_key"]
    assert server_with(body["plaintext_key"]).get("/v1/auth/api-keys").status_code == 200


def test_s3_lists_have_no_secret(key_client):
    program = key_client()

    listed = program.get("/v1/auth/api-keys").json()

    assert listed["total"] == 1
    text = program.defaults["HTTP_X_API_KEY"]
    assert text[-43:] not in str(listed)
    assert "key_hash" not in str(listed)


def test_s3_revoke_holds_from_the_next_request(key_client, make_api_key):
    program = key_client()
    other, plaintext = make_api_key(name="other")

    answer = program.post(f"/v1/auth/api-keys/{other.pk}/revoke", {})

    assert (answer.status_code, answer.json()) == (200, {"message": "API key revoked successfully"})
    assert server_with(plaintext).get("/v1/auth/api-keys").status_code == 401


def test_s3_rotate_answers_the_next_key(key_client, make_api_key):
    program = key_client()
    other, old = make_api_key("admin", name="other")

    answer = program.post(f"/v1/auth/api-keys/{other.pk}/rotate", {"overlap_hours": 1})

    assert answer.status_code == 201
    for text in (old, answer.json()["plaintext_key"]):
        assert server_with(text).get("/v1/auth/api-keys").status_code == 200
    again = program.post(f"/v1/auth/api-keys/{other.pk}/rotate", {"overlap_hours": 1})
    assert (again.status_code, again.json()["code"]) == (409, "key_rotated")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 256},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "requests_per_minute": 0},
        {"name": "x", "tenant_id": "nonsense"},
        {"name": "x", "surprise": 1},
    ],
)
def test_s3_bad_bodies_are_400_and_make_no_key(key_client, body):
    program = key_client()

    assert program.post("/v1/auth/api-keys", body).status_code == 400
    assert ApiKey.objects.count() == 1


def test_s3_a_foreign_key_is_404_and_a_foreign_clinic_400(key_client, other_clinic):
    with outside_tenant(), tenant_context(other_clinic.pk):
        foreign, _ = services.create_key(by=None, name="theirs", scopes=["admin"])
    program = key_client()

    assert program.get(f"/v1/auth/api-keys/{foreign.pk}").status_code == 404
    assert program.post(f"/v1/auth/api-keys/{foreign.pk}/revoke", {}).status_code == 404
    answer = program.post("/v1/auth/api-keys", {"name": "x", "tenant_id": str(other_clinic.pk)})
    assert (answer.status_code, answer.json()["detail"][0]["msg"]) == (400, "Invalid or inactive tenant")


def test_s11_the_trail_names_the_key_that_did_it(key_client):
    program = key_client()

    program.post("/v1/auth/api-keys", {"name": "chatbot"})

    entry = AuditEntry.objects.filter(action="api_key_created").latest("seq")
    assert (entry.actor_kind, entry.request_id != "") == ("api_key", True)


def test_nobody_gives_a_key_more_than_they_may(api_client, admin):

    Grant.objects.create(membership=admin, permission="patients.create", is_denial=True, reason="on leave")

    answer = api_client(admin).post("/v1/auth/api-keys", {"name": "x", "scopes": ["patients:write"]})

    assert answer.status_code == 403
    assert "patients.create" in answer.json()["detail"]


# --- Clinics ---------------------------------------------------------------------------------------------------------


def test_s2_a_platform_key_opens_lists_and_closes_clinics(operator):
    name = f"Hill {uuid.uuid4().hex[:8]}"

    opened = operator.post("/v1/tenants", {"name": name, "time_zone": "America/Bogota"})
    assert opened.status_code == 201
    pk = opened.json()["id"]
    assert operator.get(f"/v1/tenants/{pk}").json()["name"] == name
    assert name in [row["name"] for row in operator.get("/v1/tenants?limit=100").json()["items"]]

    closed = operator.patch(f"/v1/tenants/{pk}", {"is_active": False})

    assert closed.json()["is_active"] is False
    assert operator.post("/v1/tenants", {"name": name}).json()["detail"] == "Tenant with this name already exists"


def test_s2_a_platform_key_makes_the_first_key_of_a_clinic(operator, other_clinic):
    answer = operator.post(
        "/v1/auth/api-keys", {"name": "first", "scopes": ["admin"], "tenant_id": str(other_clinic.pk)}
    )

    assert answer.status_code == 201
    listed = server_with(answer.json()["plaintext_key"]).get("/v1/auth/api-keys").json()
    assert [row["name"] for row in listed["items"]] == ["first"]


def test_s2_a_platform_key_has_to_name_an_open_clinic(operator, other_clinic):
    assert operator.post("/v1/auth/api-keys", {"name": "x"}).status_code == 400
    assert operator.get("/v1/auth/api-keys").status_code == 400
    Tenant.objects.filter(pk=other_clinic.pk).update(is_active=False)
    answer = operator.get(f"/v1/auth/api-keys?tenant_id={other_clinic.pk}")
    assert answer.json()["detail"][0]["msg"] == "Invalid or inactive tenant"


def test_s2_the_administrator_named_is_invited(operator):
    name = f"Lake {uuid.uuid4().hex[:8]}"

    pk = operator.post("/v1/tenants", {"name": name, "admin_email": "ada@lake.example"}).json()["id"]

    with outside_tenant(), tenant_context(pk):
        member = Membership.objects.get()
        assert ([role.code for role in member.roles], member.user.email) == (["admin"], "ada@lake.example")


def test_s2_keys_of_clinics_and_members_open_no_clinics(key_client, api_client, admin):
    assert key_client("admin").get("/v1/tenants").status_code == 403
    assert api_client(admin).get("/v1/tenants").status_code == 403


def test_a_closed_clinic_is_closed_for_its_keys(operator, clinic, key_client):
    program = key_client()

    operator.patch(f"/v1/tenants/{clinic.pk}", {"is_active": False})

    assert program.get("/v1/auth/api-keys").status_code == 401
