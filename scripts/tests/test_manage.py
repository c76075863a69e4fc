import pytest

from scripts import Problem, bootstrap, manage
from scripts.state import State


def test_command_for_a_running_installation_reads_its_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ENV_FILE", "of the caller")
    monkeypatch.setattr(bootstrap, "install", lambda lock: None)
    with State.open(tmp_path) as state:
        state.write_environment({})

        assert manage.command_for(["seed_demo"], tmp_path) == [bootstrap.VENV_PYTHON, "manage.py", "seed_demo"]
    assert manage.os.environ["ENV_FILE"] == str(tmp_path / "env")


def test_command_for_a_stopped_installation_is_refused(tmp_path):
    with State.open(tmp_path) as state:
        state.write_environment({})

    with pytest.raises(Problem, match=r"nothing runs from STATE_DIR=.*; start it with make run\."):
        manage.command_for(["seed_demo"], tmp_path)


@pytest.mark.parametrize(("name", "service"), [("migrate", "migrate"), ("seed_demo", "web")])
def test_command_for_compose_names_the_service_that_may(tmp_path, monkeypatch, name, service):
    monkeypatch.setenv("COMPOSE", "env docker compose")

    assert manage.command_for([name], tmp_path) == [
        *("env", "docker", "compose", "run", "--rm", service, "python", "manage.py", name)
    ]


def test_command_for_nothing_at_all_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSE", "no-such-program compose")

    with pytest.raises(Problem, match="there is no no-such-program; start with make run"):
        manage.command_for(["seed_demo"], tmp_path)
