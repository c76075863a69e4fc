"""`.ci/run` with stand-ins for the programs it calls, each writing down how it was called."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_ci(tmp_path):
    """Run it with these programs and bash alone on the PATH; the exit code and the calls in order."""

    def run(**programs):
        calls = tmp_path / "calls"
        for name, code in programs.items():
            script = tmp_path / name
            script.write_text(f'#!/bin/bash\necho "{name} $*" >> {calls}\nexit {code}\n')
            script.chmod(0o755)
        for name in ("bash", "env", "dirname", "id"):
            (tmp_path / name).symlink_to(
                next(path for path in (f"/bin/{name}", f"/usr/bin/{name}") if os.path.exists(path))
            )
        done = subprocess.run([ROOT / ".ci" / "run"], env={"PATH": str(tmp_path), "CI": "true"}, capture_output=True)
        return done.returncode, [call.strip().replace("sudo -n ", "") for call in calls.read_text().splitlines()]

    return run


def test_ci_installs_chromium_and_calls_make_test(run_ci):
    code, calls = run_ci(**{"apt-get": 0, "make": 0, "sudo": 0})

    assert code == 0
    assert calls == ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends chromium", "make test"]


def test_ci_leaves_a_browser_that_is_there(run_ci):
    assert run_ci(**{"apt-get": 0, "make": 0, "chromium": 0}) == (0, ["make test"])


def test_ci_runs_the_tests_where_no_browser_can_be_had(run_ci):
    code, calls = run_ci(**{"apt-get": 100, "make": 0, "sudo": 0})

    assert (code, calls[-1]) == (0, "make test")


def test_ci_fails_when_the_tests_fail(run_ci):
    assert run_ci(chromium=0, make=2) == (2, ["make test"])
