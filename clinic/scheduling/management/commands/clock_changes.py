import json

from clinic.scheduling import clock_changes
from tenancy.tenants.commands import TenantCommand


class Command(TenantCommand):
    """List the visits to come that a change of a time zone's rules has moved; put them right when told how.

    Run it after the operating system or the package `tzdata` was brought up to
    date, and after a location got another time zone. One JSON object for each
    clinic: ids and times, no names of patients.
    """

    help = "List visits that moved because the clocks of their time zone were changed; --keep says what counts."
    all_tenants = True

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument(
            "--keep",
            choices=["clock", "moment"],
            help="clock: 09:00 stays 09:00, visits move with the clocks; moment: visits stay, patients are told the "
            "new time; without it nothing is changed",
        )

    def handle_tenant(self, clinic, *, keep=None, **options):
        parted = clock_changes.find_parted()
        answer = {"tenant": clinic.slug, "moved": [_row(one) for one in parted]}
        if keep and parted:
            act = {"clock": clock_changes.keep_clock, "moment": clock_changes.keep_moment}[keep]
            outcome = act(parted)
            answer |= {"kept": keep, "changed": outcome.changed, "refused": outcome.refused}
        self.stdout.write(json.dumps(answer, ensure_ascii=False))


def _row(one):
    visit = one.appointment
    return {
        "id": str(visit.pk),
        "number": visit.number,
        "practitioner": visit.practitioner.name,
        "location": visit.location.name,
        "time_zone": visit.location.time_zone,
        "meant": f"{one.meant:%Y-%m-%dT%H:%M}",
        "shows": f"{one.shows:%Y-%m-%dT%H:%M}",
    }
