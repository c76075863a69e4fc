"""docker-compose.yml, Dockerfile and .env, held against the specification, the settings and our own rules.

No container is built here. Each rule is a function that returns complaints;
below it stands a file that breaks the rule, to see the rule complain.
"""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from config.environment import Environment
from scripts import compose_secrets

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((Path(__file__).parent / "compose_spec" / "compose-spec.json").read_text())
OURS = {"web", "worker", "beat", "migrate"}
REFERENCE = re.compile(r"\$\{(\w+)(:?[-?][^}]*)?\}")


@pytest.fixture
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture
def dockerfile():
    return (ROOT / "Dockerfile").read_text()


def names_of_environment():
    """Every variable name that config.environment reads, aliases included."""
    names = set()
    for field, details in Environment.model_fields.items():
        alias = details.validation_alias
        choices = getattr(alias, "choices", [alias]) if alias else [field]
        names |= set(choices)
    return names


# --- Rules -----------------------------------------------------------------------------------------------------------


def against_specification(compose):
    return [
        f"{list(error.path)}: {error.message}" for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(compose)
    ]


def unknown_variables(compose):
    known = names_of_environment()
    return [
        f"{service}: {name}"
        for service in sorted(OURS & set(compose["services"]))
        for name in compose["services"][service].get("environment", {})
        if name not in known
    ]


def written_secrets(text):
    """Values that look like secrets and are not taken from the environment."""
    complaints = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.partition(" #")[0]
        name, colon, value = code.strip().partition(": ")
        if colon and re.search(r"PASSWORD|SECRET|_KEY|TOKEN\b|AUTH$", name) and not REFERENCE.match(value.strip()):
            complaints.append(f"line {number}: {name}")
        if re.search(r"://[^/@\s]*:(?!\$\{)[^/@\s]+@", code):
            complaints.append(f"line {number}: a password in an address")
    return complaints


def defaulted_secrets(text):
    """Secrets that fall back to a known value instead of stopping the start. METRICS_TOKEN may be absent."""
    return [
        name
        for name, rest in REFERENCE.findall(text)
        if re.search(r"PASSWORD$|SECRET|_KEY$|_TOKEN$", name) and not rest.startswith(":?") and rest != ":-"
    ]


def without_health_check(compose):
    """Services that run on and have none. One that runs once and ends says `disable` and `restart: no`."""
    complaints = []
    for name, service in compose["services"].items():
        check = service.get("healthcheck", {})
        runs_once = check.get("disable") is True and service.get("restart") == "no"
        if not runs_once and not check.get("test"):
            complaints.append(name)
    return complaints


def soft_services(compose):
    """Services of ours, or holding data, without one of the four guards."""
    complaints = []
    for name, service in compose["services"].items():
        if "no-new-privileges:true" not in service.get("security_opt", []):
            complaints.append(f"{name}: may gain privileges")
        if name == "pgadmin":  # its start script writes into its own folder
            continue
        if service.get("read_only") is not True:
            complaints.append(f"{name}: writable file system")
        if service.get("cap_drop") != ["ALL"]:
            complaints.append(f"{name}: keeps capabilities")
        if name in OURS and service.get("cap_add"):
            complaints.append(f"{name}: asks for capabilities")
    return complaints


def loose_volumes(compose):
    """Named volumes used and not declared, or the other way round."""
    used = {
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith((".", "/"))
    }
    return sorted(used ^ set(compose["volumes"]))


def image_runs_as_root(dockerfile):
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    users = re.findall(r"^USER +(\S+)", stages[-1], flags=re.MULTILINE)
    return not users or users[-1].partition(":")[0] in {"root", "0"}


# --- They hold -------------------------------------------------------------------------------------------------------


def test_compose_follows_the_specification(compose):
    assert against_specification(compose) == []


def test_compose_sets_only_variables_that_exist(compose):
    assert unknown_variables(compose) == []


def test_compose_holds_no_secret():
    text = (ROOT / "docker-compose.yml").read_text()

    assert written_secrets(text) == []
    assert defaulted_secrets(text) == []


def test_compose_checks_the_health_of_each_service(compose):
    assert without_health_check(compose) == []


def test_compose_hardens_each_service(compose):
    assert soft_services(compose) == []


def test_compose_has_the_services_promised(compose):
    assert set(compose["services"]) == OURS | {"db", "redis", "pgadmin"}
    assert compose["services"]["db"]["image"] == "pgvector/pgvector:pg18"
    assert compose["services"]["pgadmin"]["profiles"] == ["tools"]
    assert loose_volumes(compose) == []


def test_compose_starts_in_order(compose):
    for name in ("web", "worker", "beat"):
        assert compose["services"][name]["depends_on"] == {
            "db": {"condition": "service_healthy"},
            "redis": {"condition": "service_healthy"},
            "migrate": {"condition": "service_completed_successfully"},
        }


def test_compose_gives_only_migrate_more_than_the_app_role(compose):
    powers = {"DATABASE_ADMIN_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL"}

    assert [name for name in OURS if powers & set(compose["services"][name]["environment"])] == ["migrate"]


def test_compose_keeps_data_where_postgres_18_looks_for_it(compose):
    assert compose["services"]["db"]["volumes"] == ["database:/var/lib/postgresql"]


def test_dockerfile_never_ends_as_root(dockerfile):
    assert not image_runs_as_root(dockerfile)


def test_dockerfile_installs_by_hash_and_checks_health(dockerfile):
    assert "--require-hashes" in dockerfile
    assert "HEALTHCHECK" in dockerfile
    assert "/livez" in dockerfile
    # Passing arguments, not a shell: signals reach the server itself.
    assert re.search(r'^CMD \["python", "-m", "granian"', dockerfile, flags=re.MULTILINE)


def test_dockerignore_lets_in_only_what_the_image_needs():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {
        *("manage.py", "requirements.lock", "requirements-aws.lock"),
        *("config", "tenancy", "accounts", "clinic", "quality", "templates", "static"),
    }


def test_compose_secrets_names_everything_required(compose, tmp_path):
    required = {
        name for name, rest in REFERENCE.findall((ROOT / "docker-compose.yml").read_text()) if rest.startswith(":?")
    }

    assert required - set(compose_secrets.add_missing(tmp_path / ".env")) == set()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_compose_secrets_leaves_what_is_there(tmp_path):
    file = tmp_path / ".env"
    file.write_text("SECRET_KEY=mine")

    added = compose_secrets.add_missing(file)

    assert file.read_text().startswith("SECRET_KEY=mine\n")
    assert "SECRET_KEY" not in added
    assert "POSTGRES_PASSWORD" in added
    assert compose_secrets.add_missing(file) == []


# --- They can fail ---------------------------------------------------------------------------------------------------


def broken(compose, service, **changes):
    changed = copy.deepcopy(compose)
    changed["services"][service].update(changes)
    return changed


def test_rules_complain_about_a_broken_compose_file(compose):
    assert against_specification(broken(compose, "web", port="8000"))
    assert unknown_variables(broken(compose, "web", environment={"SECRET_KEYS": "x"})) == ["web: SECRET_KEYS"]
    assert without_health_check(broken(compose, "beat", healthcheck={})) == ["beat"]
    assert without_health_check(broken(compose, "db", healthcheck={"disable": True})) == ["db"]
    assert soft_services(broken(compose, "web", read_only=False)) == ["web: writable file system"]
    assert soft_services(broken(compose, "worker", cap_add=["SYS_ADMIN"])) == ["worker: asks for capabilities"]
    assert loose_volumes(broken(compose, "db", volumes=["other:/data"])) == ["database", "other"]


@pytest.mark.parametrize(
    "line",
    [
        "  SECRET_KEY: abcdefgh",
        "  POSTGRES_PASSWORD: postgres",
        "  DATABASE_URL: postgresql://app:hunter2@db/app",
        "  REDIS_URL: redis://:hunter2@redis:6379/0",
    ],
)
def test_written_secrets_finds_one(line):
    assert written_secrets(line)


def test_defaulted_secrets_finds_one():
    assert defaulted_secrets("SECRET_KEY: ${SECRET_KEY:-change-me}") == ["SECRET_KEY"]
    assert defaulted_secrets("PASSWORD: ${APP_PASSWORD}") == ["APP_PASSWORD"]


@pytest.mark.parametrize("user", ["", "USER root\n", "USER 0:0\n", "USER 10001\nUSER root\n"])
def test_image_runs_as_root_finds_it(user):
    assert image_runs_as_root(f"FROM python AS build\nUSER 10001\nFROM python\n{user}CMD []\n")
