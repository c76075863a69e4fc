"""The gates of `make lint` as tests: a change that does not pass them does not pass `make test`."""

import sys

import pytest

from scripts import lint


@pytest.mark.parametrize("name", lint.gates())
def test_gate_passes(name):
    done = lint.run_gate(lint.gates()[name])

    assert done.returncode == 0, done.stdout + done.stderr


def test_run_gate_reports_what_does_not_pass(tmp_path):
    (tmp_path / "bad.py").write_text("import os,sys\n")

    done = lint.run_gate([*lint.program("ruff", "format", "--check"), str(tmp_path / "bad.py")])

    assert done.returncode == 1
    assert "bad.py" in done.stdout


def test_main_fails_when_one_gate_does(monkeypatch, capsys):
    commands = {"good": [sys.executable, "-c", ""], "bad": [sys.executable, "-c", "print('no!'); exit(3)"]}
    monkeypatch.setattr(lint, "gates", lambda: commands)

    assert lint.main([]) == 1
    assert capsys.readouterr().out.split() == ["ok", "good", "FAILED", "bad", "no!"]
