"""Endpoints of tests, made as administrators make them."""

import itertools
import uuid
from dataclasses import dataclass, field

from tenancy.events import services

_numbers = itertools.count(1)

SECRETS = {}
"""Endpoint id to its secret: a test knows it, the house does not."""


def open_endpoint(url, *, by=None, event_types=("*",), description="Bot"):
    endpoint, secret = services.create_endpoint(by=by, url=url, event_types=event_types, description=description)
    SECRETS[endpoint.pk] = secret
    return endpoint


@dataclass
class Thing:
    """Something that events can be about, in no table: what a room tells is tested in that room."""

    pk: uuid.UUID = field(default_factory=uuid.uuid4)
    number: int = field(default_factory=lambda: next(_numbers))
