"""S21: a clinic and its key, by the name the source document gives the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from accounts.api_keys.tests.fixtures import server_with
from scripts.create_tenant_and_apikey import with_key
from tenancy.tenants.tests.contexts import outside_tenant

SCRIPT = Path(__file__).resolve().parents[1] / "create_tenant_and_apikey.py"
CLINIC = ["--slug", "hub", "--name", "Hub", "--admin-email", "you@hub.example"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], ["--api-key", "first key"]),
        (["--api-key", "n8n"], ["--api-key", "n8n"]),
        (["--api-key=n8n"], ["--api-key=n8n"]),
    ],
)
def test_s21_a_key_comes_in_any_case(more, expected):
    assert with_key([*CLINIC, *more]) == ["create_tenant", *CLINIC, *expected]


def test_s21_the_clinic_and_its_key_stand_in_one_json_object_and_the_key_works(db, capsys):
    with outside_tenant():
        call_command(*with_key([*CLINIC, "--admin-password", "A-long-Passw0rd-of-hub"]))
    made = json.loads(capsys.readouterr().out)
    answer = server_with(made["api_key"]).get("/v1/auth/api-keys")

    assert (made["slug"], made["admin"]["email"]) == ("hub", "you@hub.example")
    assert [key["name"] for key in answer.json()["items"]] == ["first key"]


def test_s21_where_nothing_runs_it_says_how_to_start(tmp_path):
    environment = os.environ | {"STATE_DIR": str(tmp_path), "COMPOSE": "no-such-program compose"}
    done = subprocess.run(
        [sys.executable, SCRIPT, *CLINIC], env=environment, cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "start with make run" in done.stderr
