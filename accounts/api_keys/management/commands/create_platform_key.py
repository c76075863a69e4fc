import json

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.api_keys.services import create_platform_key


class Command(BaseCommand):
    """Make a key of the operator: it opens `/v1/tenants` and, with `tenant_id`, `/v1/auth/api-keys`.

    Prints one JSON object; `plaintext_key` is in it this once.
    """

    help = "Make a platform key; prints one JSON object with the key, this once."

    def add_arguments(self, parser):
        parser.add_argument("--name", required=True, help="whose key it is, such as 'operations'")

    def handle(self, *, name, **options):
        try:
            key, plaintext = create_platform_key(name=name)
        except ValidationError as error:
            raise CommandError(" ".join(f"{field}: {' '.join(m)}" for field, m in error.message_dict.items())) from None
        answer = {"id": str(key.pk), "name": key.name, "prefix": key.prefix, "plaintext_key": plaintext}
        self.stdout.write(json.dumps(answer))
