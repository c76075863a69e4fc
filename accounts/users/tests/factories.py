"""People for tests, made by the same services as everywhere, so that nothing about them surprises."""

import uuid
from zoneinfo import ZoneInfo

import factory

from accounts.users import services
from accounts.users.models import Membership, User
from tenancy.tenants.models import Tenant

PASSWORD = "seventeen green kettles"
ZONE = ZoneInfo("America/Bogota")
"""Where the clinics of tests are: five hours behind UTC, so that their day is often another than the server's."""


def open_clinic(slug: str | None = None, **fields) -> tuple[Tenant, Membership]:
    """A clinic with its default roles, and its administrator (password PASSWORD); the slug is random unless given."""
    slug = slug or f"clinic-{uuid.uuid4().hex[:12]}"
    fields = {"name": f"Clinic {slug}", "time_zone": ZONE.key} | fields
    return services.create_tenant(slug=slug, admin_email=f"admin@{slug}.example", admin_password=PASSWORD, **fields)


class UserFactory(factory.Factory):
    """A person in no clinic. `UserFactory(password=None)` has none that anybody could type."""

    class Meta:
        model = User

    name = factory.Sequence(lambda number: f"Pat {number:05}")  # too short for a password to be refused as like it
    email = factory.LazyFunction(lambda: f"{uuid.uuid4().hex[:12]}@example.org")
    password = PASSWORD

    @classmethod
    def _create(cls, model_class, *args, **kwargs):
        return services.create_user(**kwargs)


class MembershipFactory(factory.Factory):
    """A person inside the current clinic: `MembershipFactory(role="nurse")`, or `roles=[…]`; `user=` takes a person."""

    class Meta:
        model = Membership

    role = "nurse"
    user = factory.SubFactory(UserFactory)

    @classmethod
    def _create(cls, model_class, *args, user, role, roles=None, **kwargs):
        return services.add_member(user, roles=roles or [role], by=None, **kwargs)
