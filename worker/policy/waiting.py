"""For how long a call waits: for a grant that was refused, and for an account that it has claimed.

All times are in seconds.
"""

from __future__ import annotations

from contract.calls.tokens import Lost, Refused
from worker.policy.readiness import NEVER

BRIEF = 0.1
"""For how long a refused call waits by itself; for longer its job is requeued."""

FULL_PAUSE = 0.25
"""Before asking again for an account whose calls in flight we do not know."""

LOST_PAUSE = 0.5
"""Before asking again for an account whose lease was not ours when we asked."""

CLAIM_PAUSE = 0.05
"""Before looking again whether another call of a claimed account has ended."""

SHORTEST = 0.001


def is_brief(refused: Refused) -> bool:
    """Return whether a call that was refused so may wait by itself."""
    return refused.wait is not None and refused.wait < BRIEF


def pause_after(reply: Refused | Lost) -> float:
    """Return for how long the account is not asked for again."""
    if isinstance(reply, Lost):
        # The next heartbeat tells what we own; until then there is no use in asking again.
        return LOST_PAUSE
    return FULL_PAUSE if reply.wait is None else reply.wait


def claim_pause(ready: float, now: float, give_up: float) -> float | None:
    """Return for how long to wait for an account that is `ready` then; None: it takes too long.

    An account that is `NEVER` ready has no slot free now, and may have one at any time.
    """
    if now > give_up or give_up < ready < NEVER:
        return None
    return max(min(ready - now, CLAIM_PAUSE), SHORTEST)
