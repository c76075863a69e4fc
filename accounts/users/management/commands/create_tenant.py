import json
import secrets

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.users import selectors, services
from tenancy.rules import RuleBroken


class Command(BaseCommand):
    """Open a clinic. Prints one JSON object: tenant id and slug, admin e-mail, and a made-up password once."""

    help = "Open a clinic with its first administrator; prints one JSON object."

    def add_arguments(self, parser):
        parser.add_argument(
            "--slug", required=True, help="short name, used in addresses: lower-case letters, digits, -"
        )
        parser.add_argument("--name", required=True)
        parser.add_argument("--admin-email", required=True)
        parser.add_argument("--admin-password", help="made up and printed once when left out")
        parser.add_argument("--time-zone", default="UTC", help="such as America/Bogota")
        parser.add_argument("--language", default="en", choices=["en", "es"])
        parser.add_argument("--country", default="CO", help="ISO 3166 code, for phone numbers")

    def handle(self, *, slug, name, admin_email, admin_password, time_zone, language, country, **options):
        known = selectors.find_user(admin_email)
        password = admin_password or (None if known else secrets.token_urlsafe(15))
        try:
            tenant, member = services.create_tenant(
                slug=slug,
                name=name,
                admin_email=admin_email,
                admin_password=password,
                time_zone=time_zone,
                language=language,
                country=country,
            )
        except RuleBroken as broken:
            raise CommandError(broken.sentence) from None
        except ValidationError as error:
            raise CommandError(" ".join(f"{field}: {' '.join(m)}" for field, m in error.message_dict.items())) from None
        answer = {"tenant_id": str(tenant.id), "slug": tenant.slug, "name": tenant.name}
        answer["admin"] = {"id": str(member.user_id), "email": member.user.email}
        if password and not admin_password:
            answer["admin"]["password"] = password
        self.stdout.write(json.dumps(answer))
