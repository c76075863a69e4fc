"""The environment variables: explained one by one, and checked before anything starts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import Environment, load_env_file

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "SECRET_KEY": "x" * 32,
    "DATABASE_URL": "postgresql://app@localhost/carewright",
    "REDIS_URL": "redis://localhost:6379/0",
}


def explained():
    """Name to default of `.env.example`, in which a line above each says what it is for."""
    found, before = {}, ""
    for line in (ROOT / ".env.example").read_text().splitlines():
        setting = re.fullmatch(r"(?:# )?([A-Z_]+)=(.*)", line)
        if setting:
            assert re.match(r"# \S.{10,}", before), f"{setting[1]} is not explained"
            found[setting[1]] = setting[2]
        before = line
    return found


def defaults():
    """Name to default of config.environment, written as a file would."""
    found = {}
    for field, details in Environment.model_fields.items():
        alias = details.validation_alias
        name = getattr(alias, "choices", [alias])[0] if alias else field
        value = "" if details.is_required() or details.default is None else details.default
        if isinstance(value, list):
            value = ",".join(value)
        found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def start(**environment):
    """`manage.py check` in a process of its own, with this environment and no file."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=inherited | {"ENV_FILE": os.devnull} | environment,
        capture_output=True,
        text=True,
    )


def test_env_example_names_and_defaults_are_those_of_the_environment():
    assert explained() == defaults()


def test_environment_starts_with_the_three_required_values():
    done = start(**GOOD)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", GOOD)
def test_environment_without_a_required_value_stops_the_start(missing):
    done = start(**{name: value for name, value in GOOD.items() if name != missing})

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"carewright: {missing} is not set. See .env.example, or use `make run`, which sets it.\n")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SECRET_KEY", "short", "SECRET_KEY is not usable: needs at least 32 characters."),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL is not usable: has to be a postgresql:// address."),
        ("REDIS_URL", "http://x", "REDIS_URL is not usable: has to be a redis://, rediss:// or unix:// address."),
        ("PUBLIC_URL", "example.org", "PUBLIC_URL is not usable: has to be an http:// or https:// address."),
        ("CORS_ALLOWED_ORIGINS", "https://a.org/x", "CORS_ALLOWED_ORIGINS is not usable: 'https://a.org/x' is not"),
        ("DEBUG", "perhaps", "DEBUG is not usable: input should be a valid boolean"),
        ("API_DOCS", "everyone", "API_DOCS is not usable: input should be 'public', 'staff' or 'off'."),
        ("PASSWORD_MIN_LENGTH", "5", "PASSWORD_MIN_LENGTH is not usable: input should be greater than or equal to 6."),
        ("STORAGE_TYPE", "s3", "STORAGE_TYPE=s3 needs STORAGE_BUCKET."),
        ("ALLOWED_HOSTS", "*", "ALLOWED_HOSTS=* goes only with DEBUG=true."),
        ("EMAIL_URL", "ftp://x", "EMAIL_URL is not usable: has to begin with console://"),
    ],
)
def test_environment_with_a_bad_value_stops_the_start(name, value, sentence):
    done = start(**GOOD | {name: value})

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"carewright: {sentence}")
    assert done.stderr.count("\n") == 1


def test_environment_names_every_bad_value_and_shows_none_of_them():
    done = start(SECRET_KEY="hunter2", DATABASE_URL="mysql://root:hunter2@x", REDIS_URL="http://:hunter2@x")

    assert [line.split()[1] for line in done.stderr.splitlines()] == ["SECRET_KEY", "DATABASE_URL", "REDIS_URL"]
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("weakness", ["COOKIE_SECURE=false", "DEBUG=true"])
def test_environment_refuses_what_is_unsafe_over_https(weakness):
    name, _, value = weakness.partition("=")

    done = start(**GOOD, PUBLIC_URL="https://clinic.example.org", **{name: value})

    assert done.returncode == 2
    assert done.stderr == f"carewright: {weakness} goes only with an http:// PUBLIC_URL.\n"


def test_load_env_file_leaves_alone_what_is_set(tmp_path, monkeypatch):
    (tmp_path / "env").write_text("# a note\nFROM_FILE='of the file'\nSET_ALREADY=of the file\nnothing\n")
    monkeypatch.setenv("SET_ALREADY", "mine")
    monkeypatch.delenv("FROM_FILE", raising=False)

    load_env_file(str(tmp_path / "env"))

    assert (os.environ.pop("FROM_FILE"), os.environ["SET_ALREADY"]) == ("of the file", "mine")


def test_load_env_file_is_content_without_a_file(tmp_path):
    load_env_file(str(tmp_path / "none"))
