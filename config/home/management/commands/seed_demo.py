import json

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.home import demo


class Command(BaseCommand):
    """Make the two demo clinics, or say their logins again: a second run changes nothing."""

    help = "Two demo clinics with staff and patients; may be repeated. Prints the logins."

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="print the logins as one JSON list")
        parser.add_argument(
            "--yes", action="store_true", help="also where DEMO is not set: everybody knows the password"
        )

    def handle(self, *args, yes, **options):
        if not (settings.DEMO or yes):
            raise CommandError(
                "Everybody knows the password of the demo clinics: they are made only with DEMO=true, or with --yes."
            )
        for clinic in demo.CLINICS:
            made = demo.seed(clinic)
            self.stderr.write(f"{clinic.name}: {'made' if made else 'is there already'}")
        if options["json"]:
            self.stdout.write(json.dumps(_logins()))
            return
        for login in _logins():
            self.stdout.write("{clinic:8} {email:26} {role:16} {password}".format(**login))


def _logins():
    return [
        {"clinic": clinic.slug, "email": email, "role": role, "password": demo.PASSWORD}
        for clinic in demo.CLINICS
        for email, _name, role in clinic.staff
    ]
