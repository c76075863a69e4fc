"""Other servers as callers: keys of the clinic and programs that send them (registered by `config.testing`)."""

import pytest

from accounts.api_keys import services
from accounts.users.tests.fixtures import ProgramClient


@pytest.fixture
def make_api_key(clinic):
    """`make_api_key("patients:read", …)`: a key of the clinic and its text; without scopes an admin's."""

    def make(*scopes, name="n8n", **fields):
        return services.create_key(by=None, name=name, scopes=scopes or ["admin"], **fields)

    return make


@pytest.fixture
def key_client(make_api_key):
    """`key_client("patients:read", …)`: a program that sends such a key; `.key` is its row."""

    def client(*scopes, **fields):
        key, plaintext = make_api_key(*scopes, **fields)
        program = server_with(plaintext)
        program.key = key
        return program

    return client


def server_with(plaintext: str, **options) -> ProgramClient:
    """A program that sends this text as its API key."""
    return ProgramClient(headers={"X-Api-Key": plaintext}, **options)
