"""What a sent time means, and how one that can not be had is answered."""

from contextlib import contextmanager
from datetime import datetime

from rest_framework import status
from rest_framework.response import Response

from clinic.places.models import Location
from tenancy.doors.refusals import FieldsRefused, error_body, problem
from tenancy.rules import RuleBroken

from ..services import NotQualified, TimeTaken
from ..wall_time import NoSuchTime, TwiceThatDay, moment_of

ABOUT_A_FIELD = {"end_before_start": "endDate", "too_long": "endDate", "in_the_past": "date"}
"""Rules of the book that concern one value: 400 with its name, not 409."""


class TakenAnswer:
    """The refusal of a time or a practitioner, once one was met."""

    refused: TimeTaken | NotQualified

    def answer(self) -> Response:
        """409 with the sentence, and up to three free times, the nearest first, or what is not held on that day."""
        body = error_body(str(self.refused.sentence), self.refused.code)
        if isinstance(self.refused, NotQualified):
            body["missing"] = [
                {"kind": gap.kind.code, "name": gap.kind.name, "lapsedOn": gap.lapsed_on} for gap in self.refused.gaps
            ]
            return Response(body, status=status.HTTP_409_CONFLICT)
        nearest = [
            {"start": s.starts, "end": s.ends, "doctorId": s.practitioner_id, "locationId": s.location_id}
            for s in self.refused.nearest
        ]
        return Response(body | {"nearest": nearest}, status=status.HTTP_409_CONFLICT)


@contextmanager
def time_problems():
    """Keep a refused time for `TakenAnswer.answer`; name the field of times that make no sense."""
    taken = TakenAnswer()
    try:
        yield taken
    except (TimeTaken, NotQualified) as refused:
        taken.refused = refused
    except RuleBroken as broken:
        if broken.code not in ABOUT_A_FIELD:
            raise
        name = ABOUT_A_FIELD[broken.code]
        raise FieldsRefused([problem("body", name, msg=str(broken.sentence), type=broken.code)]) from None


def moment_in(given: dict, name: str, location: Location) -> datetime | None:
    """The moment a sent time means: with its offset, or by the clock of the location. FieldsRefused for times
    which that clock leaves out or shows twice."""
    when = given.get(name)
    if when is None or when.tzinfo is not None:
        return when
    try:
        return moment_of(when, location.zone)
    except (NoSuchTime, TwiceThatDay) as refused:
        kind = "no_such_time" if isinstance(refused, NoSuchTime) else "twice_that_day"
        raise FieldsRefused([problem("body", name, msg=str(refused), type=kind)]) from None
