"""Who a key is: at the next request it counts or it does not (S3, S4)."""

import base64
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.api_keys import key_text, recognition, services
from accounts.api_keys.models import ApiKey
from tenancy.tenants.context import tenant_context
from tenancy.tenants.tests.contexts import outside_tenant


def recognise(plaintext):
    return recognition.recognise_key(key_text.read_key(plaintext))


def test_s4_a_key_names_its_clinic_and_what_it_may(clinic, make_api_key):
    key, plaintext = make_api_key("patients:read")

    found = recognise(plaintext)

    assert (found.pk, found.tenant) == (key.pk, clinic)
    assert found.may("patients.view")
    assert not found.may("patients.create")


def test_s4_admin_scope_brings_all_others(make_api_key):
    _, plaintext = make_api_key("admin")

    found = recognise(plaintext)

    assert found.may("patients.create")
    assert found.may("appointments.book")
    assert found.may("admin.integrations")


def test_s3_only_a_hash_is_kept(make_api_key):
    key, plaintext = make_api_key()

    with connection.cursor() as cursor:
        cursor.execute("SELECT k::text FROM api_keys_apikey k WHERE id = %s", [key.pk])
        stored = cursor.fetchone()[0]

    assert plaintext not in stored
    assert plaintext[-43:] not in stored
    assert key_text.hash_of(plaintext) in stored


@pytest.mark.parametrize("spoil", ["upper", "space before", "space behind", "one letter", "last bits", "other prefix"])
def test_s4_a_key_is_taken_to_the_letter(make_api_key, spoil):
    _, plaintext = make_api_key()
    spoilt = {
        "upper": plaintext.upper(),
        "space before": f" {plaintext}",
        "space behind": f"{plaintext} ",
        "one letter": plaintext[:-1] + ("A" if plaintext[-1] != "A" else "B"),
        "last bits": plaintext[:25] + chr(ord(plaintext[25]) + 1) + plaintext[26:],
        "other prefix": plaintext.replace("_", "-", 1),
    }[spoil]

    sent = key_text.read_key(spoilt)

    assert sent is None or recognition.recognise_key(sent) is None


def test_s3_a_revoked_key_is_refused_from_the_next_request(make_api_key):
    key, plaintext = make_api_key()
    assert recognise(plaintext)

    services.revoke_key(key, by=None)

    assert recognise(plaintext) is None


def test_s3_an_expired_key_is_refused(make_api_key):
    key, plaintext = make_api_key(expires_at=timezone.now() + timedelta(hours=1))
    assert recognise(plaintext)

    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert recognise(plaintext) is None


def test_s4_keys_of_an_inactive_clinic_are_refused(clinic, make_api_key):
    _, plaintext = make_api_key()
    clinic.is_active = False
    clinic.save(update_fields=["is_active"])

    assert recognise(plaintext) is None


def test_s5_a_key_that_claims_another_clinic_finds_nothing(clinic, other_clinic, make_api_key):
    _, plaintext = make_api_key()
    claim = base64.urlsafe_b64encode(other_clinic.id.bytes).decode().rstrip("=")
    moved = f"cwk_{claim}{plaintext[26:]}"
    # Its row is there, and its hash is known: only row security stands between.
    ApiKey.objects.update(key_hash=key_text.hash_of(moved))

    sent = key_text.read_key(moved)

    assert sent.tenant_id == other_clinic.id
    with outside_tenant(), tenant_context(other_clinic.id):
        assert recognition.recognise_key(sent) is None


def test_s3_rotation_lets_the_old_key_live_for_the_overlap(make_api_key):
    key, old = make_api_key("patients:read")

    new_key, new = services.rotate_key(key, by=None, overlap=timedelta(hours=2))

    assert recognise(old).pk == key.pk
    assert recognise(new).pk == new_key.pk
    assert new_key.scopes == ["patients:read"]
    ends = ApiKey.objects.get(pk=key.pk).expires_at
    assert timedelta(hours=1, minutes=59) < ends - timezone.now() <= timedelta(hours=2)


def test_s3_rotation_without_overlap_ends_the_old_key(make_api_key):
    key, old = make_api_key()

    services.rotate_key(key, by=None)

    assert recognise(old) is None


def test_last_use_is_written_lazily(make_api_key, django_assert_num_queries):
    key, plaintext = make_api_key()
    recognise(plaintext)
    assert ApiKey.objects.get(pk=key.pk).last_used_at

    with django_assert_num_queries(1):
        recognise(plaintext)


def test_a_platform_key_is_in_no_clinic(db):
    key, plaintext = services.create_platform_key(name="Operator")
    sent = key_text.read_key(plaintext)
    assert sent.tenant_id is None

    assert recognition.recognise_platform_key(sent).pk == key.pk
    services.revoke_platform_key(key)
    assert recognition.recognise_platform_key(sent) is None


@pytest.mark.parametrize(
    "text", ["", "cwk_", "cwk_x_y_z", "nonsense", "cwp_short", "0192f0c1-7a3b-7c11-8d2e-5f6a7b8c9d0e", "é" * 60]
)
def test_what_is_no_key_of_ours_is_no_key(text):
    assert key_text.read_key(text) is None
