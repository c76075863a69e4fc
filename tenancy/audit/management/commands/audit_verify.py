import base64
import json
from dataclasses import asdict
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.core.management.base import CommandError

from tenancy.audit.anchors import AnchorKeyUnusable, signing_key
from tenancy.audit.verification import look_at_one_moment, verify_trail
from tenancy.tenants.commands import TenantCommand
from tenancy.tenants.context import tenant_context


class Command(TenantCommand):
    """Verify the audit trail; the exit codes are those of design quality.md 6.11.

    0 whole, 1 altered, 2 gap or reorder, 3 anchor mismatch, 4 cut or rolled
    back, 5 payload mismatch, 6 key unknown. With several clinics the smallest
    code above 0 is the answer.
    """

    help = "Verify the audit trail of one clinic, or of all. Exit code 0 when it is whole."
    all_tenants = True
    own_transactions = True

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--from", dest="first", type=int, default=1, metavar="SEQ", help="first entry to verify")
        parser.add_argument("--to", dest="last", type=int, metavar="SEQ", help="last entry to verify")
        parser.add_argument("--anchors", type=Path, metavar="FILE", help="anchor file (default: AUDIT_ANCHOR_FILE)")
        parser.add_argument("--public-key", action="append", default=[], metavar="BASE64", help="an older anchor key")
        parser.add_argument("--json", action="store_true", help="one JSON object a clinic")

    def handle(self, *args, **options):
        if options["first"] < 1 or (options["last"] is not None and options["last"] < options["first"]):
            raise CommandError("--from and --to are sequence numbers, 1 or more, in order.")
        self.codes = []
        super().handle(*args, **options)
        code = min((code for code in self.codes if code), default=0)
        if code:
            raise SystemExit(code)

    def handle_tenant(self, tenant, *, first, last, anchors, public_key, json: bool, **options):
        with tenant_context(tenant.id):
            look_at_one_moment()
            report = verify_trail(
                tenant,
                anchor_file=anchors or Path(settings.AUDIT_ANCHOR_FILE),
                known_keys=_known_keys(public_key),
                first=first,
                last=last,
            )
        self.codes.append(report.code)
        self._print(report, as_json=json)

    def _print(self, report, *, as_json):
        if as_json:
            self.stdout.write(json.dumps({**asdict(report), "code": report.code, "first_bad": report.first_bad}))
            return
        counts = (
            f"{report.entries} entries ({report.erased} erased), {report.reads} sealed reads, {report.anchors} anchors"
        )
        self.stdout.write(f"{report.tenant}: {'whole' if not report.code else 'NOT WHOLE'}; {counts}")
        for finding in report.findings[:20]:
            self.stdout.write(f"  [{finding.code}] {finding.sentence}")


def _known_keys(given):
    try:
        return [signing_key().public_key(), *(Ed25519PublicKey.from_public_bytes(base64.b64decode(k)) for k in given)]
    except AnchorKeyUnusable as error:
        raise CommandError(str(error)) from None
    except ValueError:
        raise CommandError("--public-key has to be 32 bytes in base64.") from None
