"""The recipes of docs/webhooks.md do what they say, with the tools of those who read it (CL-05)."""

import json
import re
import shutil
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenancy.events import registry, signing

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "webhooks.md").read_text()
BODY = '{"type":"patient.created","data":{"id":"1","town":"Ibagué"}}'


def recipe(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


def python_says(secret, headers, body):
    found = {}
    exec(recipe("python"), found)
    return found["is_ours"](secret, headers, body.encode())


def node_says(secret, headers, body):
    call = f"isOurs({json.dumps(secret)}, {json.dumps(headers)}, Buffer.from({json.dumps(body)}))"
    done = subprocess.run(
        ["node", "-e", f"{recipe('js')}\nconsole.log({call});"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def has_node():
    return pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


@pytest.mark.parametrize("says", [python_says, pytest.param(node_says, marks=has_node())])
def test_cl05_recipes_accept_ours_and_nothing_else(says):
    new, old, other = (signing.new_secret() for _ in range(3))
    now = datetime.now(UTC)
    headers = signing.headers_for(uuid.uuid4(), BODY, at=now, secrets=[new, old])
    late = signing.headers_for(uuid.uuid4(), BODY, at=now - timedelta(seconds=310), secrets=[new])

    assert says(new, headers, BODY)
    assert says(old, headers, BODY)
    assert not says(other, headers, BODY)
    assert not says(new, headers, BODY.replace("1", "2"))
    assert not says(new, headers | {"webhook-id": str(uuid.uuid4())}, BODY)
    assert not says(new, late, BODY)


def test_the_page_names_every_type():
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", PAGE))

    assert {known.code for known in registry.all_types()} <= named
