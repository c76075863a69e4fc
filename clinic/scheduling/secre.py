"""Secre's words for what the book calls otherwise (decisions X14, X15): the lists that `/v1` reads and writes."""

from tenancy.doors.payloads import words_of_list

from .models import Modality, NotificationState
from .states import State

# id, word, ours
MODALITIES = [
    (1, "IN_PERSON", Modality.IN_PERSON),
    (2, "VIRTUAL", Modality.VIDEO),
    (3, "PHONE", Modality.PHONE),
    (4, "HOME", Modality.HOME),
]
OTHER_MODALITIES = {
    "presencial": Modality.IN_PERSON,
    "telemedicina": Modality.VIDEO,
    "video": Modality.VIDEO,
    "telefonica": Modality.PHONE,
    "domicilio": Modality.HOME,
}
"""Further words that clients of Secre send."""

STATES = [
    (1, "SCHEDULED", State.BOOKED),
    (2, "CONFIRMED", State.CONFIRMED),
    (3, "IN_PROGRESS", State.IN_ROOM),
    (4, "COMPLETED", State.COMPLETED),
    (5, "CANCELLED", State.CANCELLED),
    (6, "NO_SHOW", State.NO_SHOW),
    (8, "REQUESTED", State.REQUESTED),
    (9, "HELD", State.HELD),
    (10, "ARRIVED", State.ARRIVED),
]
MOVED = "moved"
RESCHEDULED = (7, "RESCHEDULED", MOVED)
"""Secre has a state for it. Here a visit that was moved keeps the state it had, and a new one is booked."""

NOTIFICATIONS = [(number, str(state).upper(), state) for number, state in enumerate(NotificationState.values, start=1)]

STATE_CHOICES = tuple(word for _id, word, _ours in STATES)
MODALITY_CHOICES = tuple(word for _id, word, _ours in MODALITIES)

MODALITY_WORDS = {ours: word for _id, word, ours in MODALITIES}
STATE_WORDS = {ours: word for _id, word, ours in STATES}
NOTIFICATION_WORDS = {ours: word for _id, word, ours in NOTIFICATIONS} | {"": None}

FIND_MODALITY = words_of_list(MODALITIES) | OTHER_MODALITIES
FIND_STATE = words_of_list([*STATES, RESCHEDULED])
FIND_NOTIFICATION = words_of_list(NOTIFICATIONS)

FIRST_STATES = (State.BOOKED, State.CONFIRMED, State.REQUESTED, MOVED)
"""Where a visit may begin that another server books."""
