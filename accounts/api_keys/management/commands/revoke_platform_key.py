from django.core.management.base import BaseCommand, CommandError

from accounts.api_keys.selectors import find_platform_key
from accounts.api_keys.services import revoke_platform_key


class Command(BaseCommand):
    """End a platform key, from the next request on."""

    help = "End a platform key, named by its prefix."

    def add_arguments(self, parser):
        parser.add_argument("--prefix", required=True, help="the 8 characters behind cwp_")

    def handle(self, *, prefix, **options):
        key = find_platform_key(prefix)
        if key is None:
            raise CommandError(f"There is no platform key with the prefix {prefix}.")
        revoke_platform_key(key)
        self.stdout.write(f"{key} is revoked.")
