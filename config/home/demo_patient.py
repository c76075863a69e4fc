"""A patient of the demo who signs in: a chart that is theirs, visits that were, visits to come, one request.

What is to come is booked by the services, one of the visits by the patient; it
begins so soon that the clinic's cut-off can be met, too. What was is written
as rows, because the book takes nothing for the past.
"""

from datetime import UTC, datetime, time, timedelta

from django.utils import timezone

from accounts.users.models import Membership, User
from clinic.patients import own_account
from clinic.patients import services as patients
from clinic.patients.models import Gender, Patient
from clinic.places.models import Location
from clinic.practitioners.models import Practitioner
from clinic.scheduling import own_times, policy, self_service, services
from clinic.scheduling.availability import Slot
from clinic.scheduling.models import Appointment, AppointmentChange, AppointmentType
from clinic.scheduling.services import Wanted
from clinic.scheduling.states import State
from clinic.scheduling.wall_time import nearest_moment, wall_of
from tenancy.audit import services as audit
from tenancy.audit.models import AuditEntry
from tenancy.tenants.context import current_tenant_id
from tenancy.tenants.numbering import next_number

SEEDED = "demo_patient_seeded"
PHONE = "601 745 5000"
LOGIN = ("patient@demo.example", "Lucía Herrera Pardo", "patient")
CHART = {
    "first_name": "Lucía", "first_last_name": "Herrera", "second_last_name": "Pardo", "birth_date": "1991-05-17",
    "cell_phone": "3115550199", "email": LOGIN[0], "city": "Bogotá", "country": "CO", "allergy_status": "none_known",
}  # fmt: skip
PAST = ((-41, "Yearly check", State.COMPLETED), (-13, "Results of the blood test", State.COMPLETED))


def is_seeded() -> bool:
    """Whether this clinic has its patient who signs in."""
    about_clinic = {"object_type": "tenant", "object_id": str(current_tenant_id())}
    return AuditEntry.objects.filter(action=SEEDED, **about_clinic).exists()


def seed_patient(staff: dict[str, Membership]) -> None:
    """Give the clinic a patient who signs in. Needs the book (demo_book)."""
    member, desk = staff["patient"], staff["staff"]
    User.objects.filter(pk=member.user_id).update(email_confirmed_at=timezone.now())
    chart = patients.create_patient(by=desk, data=CHART | {"gender": Gender.objects.get(word="female")})
    chart = own_account.link_account(chart, member=member, by=desk)
    policy.save_policy(by=staff["admin"], changes={"phone": PHONE})
    kind = AppointmentType.objects.get(code="general-consultation")
    _write_past(chart, kind, desk)
    today = timezone.localdate()
    soonest = own_times.first_free(own_times.list_people(kind), today, type=kind, patient=chart)
    if soonest:
        services.book(_wanted(chart, kind, soonest, "Cough since Friday"), by=desk)
    later = own_times.first_free(own_times.list_people(kind), today + timedelta(days=5), type=kind, patient=chart)
    if later:
        self_service.book_own(_wanted(chart, kind, later, "Blood pressure"), by=member)
    video = AppointmentType.objects.get(code="video-consultation")
    asked = own_times.first_free(own_times.list_people(video), today + timedelta(days=8), type=video, patient=chart)
    if asked:
        self_service.book_own(_wanted(chart, video, asked, "Questions about the new medicine"), by=member)
    audit.record(SEEDED, None, by=None)


def _wanted(chart: Patient, kind: AppointmentType, slot: Slot, reason: str) -> Wanted:
    return Wanted(
        patient=chart, practitioner=Practitioner.objects.get(pk=slot.practitioner_id), type=kind,
        location=Location.objects.get(pk=slot.location_id), starts_at=slot.starts, reason=reason, tells_patient=False,
    )  # fmt: skip


def _write_past(chart: Patient, kind: AppointmentType, desk: Membership) -> None:
    person = own_times.list_people(kind)[0]
    place = services.usual_location(person)
    for days, reason, state in PAST:
        day = wall_of(timezone.now(), place.zone).date() + timedelta(days=days)
        starts = nearest_moment(datetime.combine(day, time(16)), place.zone).astimezone(UTC)
        ends = starts + timedelta(minutes=kind.minutes)
        visit = Appointment.objects.create(
            number=next_number("appointment"), patient=chart, practitioner=person, location=place, type=kind,
            starts_at=starts, ends_at=ends, busy_from=starts, busy_until=ends, time_zone=place.time_zone,
            wall_start=f"{wall_of(starts, place.zone):%Y-%m-%dT%H:%M}", state=state, modality=kind.modality,
            reason=reason, created_by=desk, created_at=starts - timedelta(days=6), updated_at=ends,
        )  # fmt: skip
        for at, action, old, new in (
            (visit.created_at, "booked", "", State.BOOKED),
            (ends, "moved_on", State.BOOKED, state),
        ):
            AppointmentChange.objects.create(
                appointment=visit, at=at, by=desk, action=action, old_state=old, new_state=new
            )
