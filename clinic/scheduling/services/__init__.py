"""Writing the book, a job a file; what other files and rooms call is named here.

One lock order (`locking`), one check (`claims`, `refusals`), and the table's
own constraints behind both (design/database.md). Which file stands on which is
said in `.importlinter`: booking on moving and rescheduling, those on holds and
group sessions, all on the row, its claims and the locks.
"""

from .booking import book, find_pressed
from .freed_times import call_when_freed
from .group_sessions import GroupFull
from .histories import label_of
from .holds import expire_holds, is_held_for, release
from .locking import lock_together
from .moving import move, undo_move
from .qualification import NotQualified
from .refusals import MoveRefused, TimeNotOffered, TimeTaken
from .rescheduling import put_back, reschedule, shift
from .wanted import Wanted, usual_location

__all__ = [
    "GroupFull",
    "MoveRefused",
    "NotQualified",
    "TimeNotOffered",
    "TimeTaken",
    "Wanted",
    "book",
    "call_when_freed",
    "expire_holds",
    "find_pressed",
    "is_held_for",
    "label_of",
    "lock_together",
    "move",
    "put_back",
    "release",
    "reschedule",
    "shift",
    "undo_move",
    "usual_location",
]
