import json
import secrets

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from accounts.users import selectors, services
from tenancy.rules import RuleBroken


class Command(BaseCommand):
    """Make a platform administrator. Prints one JSON object: id, e-mail, and a made-up password once.

    They enter any clinic for an hour, with a reason, and see no patients. Outside
    of the demo they set up a second factor before anything else.
    """

    help = "Make somebody a platform administrator; prints one JSON object."

    def add_arguments(self, parser):
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--password", help="made up and printed once when left out; a known person keeps theirs")

    def handle(self, *, email, name, password, **options):
        known = selectors.find_user(email)
        made_up = None if known or password else secrets.token_urlsafe(15)
        try:
            validate_email(email)
            user = services.make_platform_admin(email=email, name=name, password=password or made_up)
        except RuleBroken as broken:
            raise CommandError(broken.sentence) from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        answer = {"id": str(user.pk), "email": user.email, "name": user.name, "is_new": known is None}
        if made_up:
            answer["password"] = made_up
        self.stdout.write(json.dumps(answer))
