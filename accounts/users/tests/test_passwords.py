"""Which passwords are accepted (decision X25, AU-10), and what is on disk afterwards (AU-11)."""

import string
import unicodedata

import pytest
from django.conf import settings
from django.contrib.auth.hashers import check_password, identify_hasher, make_password
from hypothesis import given
from hypothesis import strategies as st

from accounts.users.hashers import BCryptSHA256
from accounts.users.models import User
from accounts.users.passwords import LONGEST, find_problems, rules_in_words
from accounts.users.services import Taken, create_user
from accounts.users.tests.factories import PASSWORD, UserFactory
from tenancy.rules import RuleBroken

CARLA = {"email": "carla.montoya@example.org", "name": "Carla Montoya", "username": "cmontoya77"}


def problems(password, **fields):
    return find_problems(password, User(**CARLA | fields))


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("kettle7", "too short"),
        ("password", "stolen"),
        ("PASSWORD", "stolen"),
        (" password ", "stolen"),
        ("qwertyuiop", "stolen"),
        ("Qwertyuiop", "stolen"),
        ("iloveyou12345", "stolen"),
        ("1234567890", "stolen"),
        ("letmeinplease", "stolen"),
        ("carla.montoya", "similar"),
        ("Montoya Carla", "similar"),
        ("cmontoya77", "similar"),
        ("carla.montoya@example.org", "similar"),
        ("Carewright2026!", "our name"),
        ("my carewright", "our name"),
        ("a" * (LONGEST + 1), "longer than 256"),
        ("k" * 1_000_000, "longer than 256"),
        ("green\x00kettle teapot", "can not be typed"),
        ("green \ud800 kettle teapot", "can not be typed"),
    ],
)
def test_m21_x25_what_is_easily_guessed_is_refused_with_a_sentence(db, password, words):
    found = problems(password)

    assert found
    assert words in " ".join(found)


@pytest.mark.parametrize("password", ["Riverside!", "riverside-clinic", "The Riverside 1", "RIVERSIDE2026"])
def test_x25_the_clinics_name_is_no_password(clinic, password):
    assert "our name" in " ".join(problems(password))


def test_x25_the_name_of_a_clinic_elsewhere_counts_for_its_own_people(db, clinic, nurse, other_clinic):
    assert problems("harbor-2026!") == []
    assert problems("riverside-2026!")


def test_m21_the_shortest_length_is_a_setting(db, settings):
    settings.PASSWORD_MIN_LENGTH = 6
    settings.AUTH_PASSWORD_VALIDATORS = [
        {**one, "OPTIONS": {"min_length": 6}} if "MinimumLength" in one["NAME"] else one
        for one in settings.AUTH_PASSWORD_VALIDATORS
    ]

    assert problems("kettl7") == []
    assert problems("kett7")
    assert "At least 6 characters" in rules_in_words()[0]


# --- What is accepted: the negative control --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password",
    [
        "kettle 7",
        "seventeen green kettles",
        "  spaces around it  ",
        "clínica de los álamos azules",
        "パスワードは長いほうがよい",
        "🫖🫖 tea for two 🫖🫖",
        "correct-river-delta-9 of the carewright",
        "x1" * 32,
        "zebra " * 12 + "!",
        "ż" * LONGEST,
    ],
)
def test_au10_long_unicode_and_spaced_passwords_are_accepted(db, password):
    assert problems(password) == []


@given(st.text(alphabet=string.printable, min_size=8, max_size=LONGEST + 2))
def test_au10_no_text_makes_the_lists_stumble(django_db_blocker, password):
    with django_db_blocker.unblock():
        assert all(isinstance(sentence, str) for sentence in problems(password))


def test_au10_nothing_is_cut_off_at_72_bytes(db):
    long = "seventeen green kettles " * 4
    user = UserFactory(password=long)

    assert user.check_password(long)
    assert not user.check_password(long[:72])
    assert not user.check_password(long[:-1])


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_au10_a_password_is_the_same_however_the_keyboard_composes_it(db, form):
    user = UserFactory(password="señora Núñez çok güzel ﬁ")

    assert user.check_password(unicodedata.normalize(form, "señora Núñez çok güzel ﬁ"))
    assert not user.check_password("senora Nunez cok guzel fi")


def test_au10_spaces_at_the_ends_belong_to_the_password(db):
    user = UserFactory(password="  spaces around it  ")

    assert not user.check_password("spaces around it")


# --- On disk ---------------------------------------------------------------------------------------------------------


def test_au11_the_hash_is_bcrypt_sha256_with_cost_12(db):
    assert BCryptSHA256.rounds == 12
    assert settings.PASSWORD_HASHERS[0].rpartition(".")[2] == "QuickBCrypt"  # the same with less work, in tests only
    assert UserFactory().password.startswith("bcrypt_sha256$$2b$04$")
    assert BCryptSHA256().encode("seventeen green kettles", BCryptSHA256().salt()).startswith("bcrypt_sha256$$2b$12$")


@pytest.mark.parametrize("algorithm", ["argon2", "bcrypt"])
def test_au11_a_hash_from_elsewhere_is_renewed_when_its_owner_signs_in(db, algorithm):
    user = UserFactory()
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher=algorithm))
    user.refresh_from_db()
    assert identify_hasher(user.password).algorithm == algorithm

    assert user.check_password(PASSWORD)

    user.refresh_from_db()
    assert identify_hasher(user.password).algorithm == "bcrypt_sha256"
    assert check_password(PASSWORD, user.password)


# --- One person, one name --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"email": "NORA@example.org"}, "email"),
        ({"email": "other@example.org", "username": "nora@example.org"}, "username"),
        ({"email": "other@example.org", "username": "NORA77"}, "username"),
        ({"email": "nora77", "username": "somebody"}, "email"),
    ],
)
def test_nobody_takes_another_persons_address_as_a_user_name(db, fields, field):
    create_user(email="nora@example.org", username="nora77", name="Nora", password=None)

    with pytest.raises(Taken) as taken:
        create_user(name="Other", password=None, **fields)

    assert taken.value.field == field


def test_create_user_says_every_reason_against_a_password(db):
    with pytest.raises(RuleBroken, match=r"too short.*stolen"):
        create_user(email="new@example.org", name="New", password="123456")
