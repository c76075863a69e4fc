import os
import stat

import pytest

from scripts import Problem, state
from scripts.state import State, content_digest


@pytest.fixture
def opened(tmp_path):
    with State.open(tmp_path) as state:
        yield state


def test_open_makes_the_directory_and_finds_it_again(tmp_path):
    with State.open(tmp_path / "deep" / "state") as first:
        secret = first.secret("secret_key")

    with State.open(tmp_path / "deep" / "state") as second:
        assert (first.is_new, second.is_new) == (True, False)
        assert second.secret("secret_key") == secret
        assert stat.S_IMODE(second.secrets_file.stat().st_mode) == 0o600


def test_open_knows_one_directory_by_all_its_names(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "state")
    (tmp_path / "state").mkdir()

    with State.open(tmp_path / "link" / ".." / "state") as state:
        assert state.directory == tmp_path / "state"
        with pytest.raises(Problem, match="already runs"):
            State.open(tmp_path / "link")


def test_open_takes_an_empty_directory_and_one_that_manage_py_made(tmp_path):
    (tmp_path / "static").mkdir()

    with State.open(tmp_path) as state:
        assert state.is_new


def test_open_refuses_a_file(tmp_path):
    (tmp_path / "state").write_text("")

    for directory in (tmp_path / "state", tmp_path / "state" / "below"):
        with pytest.raises(Problem, match=r"STATE_DIR=.* cannot be: .*/state is a file, not a directory\."):
            State.open(directory)


def test_open_refuses_a_directory_of_something_else(tmp_path):
    (tmp_path / "photo.jpg").write_text("")

    with pytest.raises(Problem, match=r"holds something else \(photo\.jpg\)"):
        State.open(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.jpg"]


def test_open_refuses_what_another_launcher_holds(opened, tmp_path):
    opened.sign_lock("process 7, port 8000")

    with pytest.raises(Problem, match=r"already runs from STATE_DIR=.* \(process 7, port 8000\)\."):
        State.open(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_open_refuses_the_state_of_another_user(tmp_path):
    with State.open(tmp_path):
        pass
    os.chown(tmp_path / state.MARKER, 65534, 65534)

    with pytest.raises(Problem, match="belongs to nobody; start as that user or choose another"):
        State.open(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_open_refuses_what_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(Problem, match="permission denied"):
        State.open(tmp_path / "state")


def test_open_refuses_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "free_megabytes", lambda directory: 12)

    with pytest.raises(Problem, match="is full: 12 MB free, 400 MB needed"):
        State.open(tmp_path / "state")


def test_write_environment_is_for_the_owner_only(opened, tmp_path):
    opened.write_environment({"B": "2", "A": "1"})

    assert (tmp_path / "env").read_text().splitlines()[1:] == ["A=1", "B=2"]
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_is_done_only_for_the_same_content(opened, tmp_path):
    opened.mark_done("prepared", "abc")

    assert opened.is_done("prepared", "abc")
    assert not opened.is_done("prepared", "abd")
    assert not opened.is_done("static", "abc")
    (tmp_path / "done.json").write_text("torn")
    assert not opened.is_done("prepared", "abc")


def test_log_moves_a_long_one_aside(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(state, "LOG_LIMIT_BYTES", 10)
    opened.log("web").write_text("0123456789 and more")

    assert not opened.log("web").exists()
    assert (tmp_path / "logs" / "web.log.1").read_text() == "0123456789 and more"


def test_content_digest_changes_with_code_and_not_with_what_python_leaves(tmp_path):
    (tmp_path / "room" / "__pycache__").mkdir(parents=True)
    (tmp_path / "room" / "models.py").write_text("one")
    before = content_digest(tmp_path, ["room", "missing"])

    (tmp_path / "room" / "__pycache__" / "models.pyc").write_text("compiled")
    assert content_digest(tmp_path, ["room", "missing"]) == before
    (tmp_path / "room" / "models.py").write_text("two")
    assert content_digest(tmp_path, ["room", "missing"]) != before
