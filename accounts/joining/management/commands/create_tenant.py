import json

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.api_keys.services import create_key
from accounts.joining import notices, selectors
from accounts.joining.services import passwords
from accounts.users import services
from tenancy.rules import RuleBroken
from tenancy.tenants.context import tenant_context


class Command(BaseCommand):
    """Open a clinic. Prints one JSON object: tenant id and slug, its administrator, and the key, this once.

    Without `--admin-password` a new administrator is mailed the link that sets
    one; `password_link_mailed` says so. Who is known already keeps theirs.
    """

    help = "Open a clinic with its first administrator; prints one JSON object."

    def add_arguments(self, parser):
        parser.add_argument(
            "--slug", required=True, help="short name, used in addresses: lower-case letters, digits, -"
        )
        parser.add_argument("--name", required=True)
        parser.add_argument("--admin-email", required=True)
        parser.add_argument("--admin-password", help="a link to set one is mailed when left out")
        parser.add_argument("--api-key", metavar="NAME", help="make an admin-scoped API key with this name, too")
        parser.add_argument("--time-zone", default="UTC", help="such as America/Bogota")
        parser.add_argument("--language", default="en", choices=["en", "es"])
        parser.add_argument("--country", default="CO", help="ISO 3166 code, for phone numbers")

    def handle(self, *, slug, name, admin_email, admin_password, api_key, time_zone, language, country, **options):
        plaintext = None
        is_known = selectors.find_person(admin_email) is not None
        needs_link = not is_known and not admin_password
        try:
            with transaction.atomic():
                tenant, member = services.create_tenant(
                    slug=slug,
                    name=name,
                    admin_email=admin_email,
                    admin_password=admin_password,
                    time_zone=time_zone,
                    language=language,
                    country=country,
                )
                with tenant_context(tenant.id):
                    if needs_link:
                        passwords.send_password_link(member.user, notices.FIRST_PASSWORD)
                    if api_key:
                        _key, plaintext = create_key(by=None, name=api_key, scopes=["admin"])
        except RuleBroken as broken:
            raise CommandError(broken.sentence) from None
        except ValidationError as error:
            raise CommandError(" ".join(f"{field}: {' '.join(m)}" for field, m in error.message_dict.items())) from None
        answer = {"tenant_id": str(tenant.id), "slug": tenant.slug, "name": tenant.name}
        answer["admin"] = {"id": str(member.user_id), "email": member.user.email, "password_link_mailed": needs_link}
        if plaintext:
            answer["api_key"] = plaintext
        self.stdout.write(json.dumps(answer))
