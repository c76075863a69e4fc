"""Endpoints of tests, made as administrators make them."""

import itertools
import uuid
from dataclasses import dataclass, field

from tenancy.events import services
from tenancy.tenants.models import Tenant

_numbers = itertools.count(1)

SECRETS = {}
"""Endpoint id to its secret: a test knows it, the house does not."""


def make_tenant(name="Riverside Clinic"):
    """A clinic with nobody in it, for tests that commit."""
    return Tenant.objects.create(slug=f"events-{uuid.uuid4().hex[:20]}", name=name)


def open_endpoint(url, *, by=None, event_types=("*",), description="Bot"):
    endpoint, secret = services.create_endpoint(by=by, url=url, event_types=event_types, description=description)
    SECRETS[endpoint.pk] = secret
    return endpoint


@dataclass
class Thing:
    """Something that events can be about, in no table: what a room tells is tested in that room."""

    pk: uuid.UUID = field(default_factory=uuid.uuid4)
    number: int = field(default_factory=lambda: next(_numbers))
