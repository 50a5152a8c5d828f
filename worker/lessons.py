"""What the end of a call teaches about its token."""

from __future__ import annotations

from worker.poe.faults import Fault, FaultKind
from worker.queue import Note

RATE_LIMIT_REST = 10.0
"""Seconds for which an account rests after a 429 that does not say how long."""

NO_POINTS_PARK = 900.0
"""Seconds before a token without points is looked at again; Poe grants points daily."""

BAD_KEY_PARK = 24 * 3600.0
"""Seconds for which a key that Poe does not know is left alone."""

UNFIT_LIFE = 3600.0
"""Seconds for which a token's refusal of one model is remembered."""

BAD_KEY = "bad key"
NO_POINTS = "no points"


def note(fault: Fault) -> Note | None:
    """Say what all workers should know of the token after this fault; None: nothing."""
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            rest = RATE_LIMIT_REST if fault.retry_after is None else fault.retry_after
            return Note(rest=rest)
        case FaultKind.NO_POINTS:
            return Note(park=NO_POINTS_PARK, state=NO_POINTS, reason="Poe: not enough points")
        case FaultKind.BAD_KEY:
            return Note(park=BAD_KEY_PARK, state=BAD_KEY, reason="Poe: the key is not valid")
        case _:
            return None
