"""What follows for a job from a failed attempt.

`decide` and `runs_again` are the table in docs/upstreams.md, "Paid once". lib.lua has the same
rules for the jobs of a dead worker, by what it had noted in them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from worker.poe.faults import Blame, Fault, FaultKind, Reach, blame
from worker.policy.backoff import doubled

MAX_UPSTREAM_FAILURES = 3
"""Attempts of one job that the upstream may fail: the first and two more."""

MAX_UNKNOWN = 3
"""Tokens for which Poe may say that there is no such model, before we believe it: it can be their
plan."""

MAX_IN_BAND = 3
"""Tokens that a bot may blame, before we blame the bot."""

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for the third."""

LONGEST_PAUSE = FIRST_PAUSE * 2 ** (MAX_UPSTREAM_FAILURES - 1)

CORRECTED = "corrected"
RETRIED = "retried"
UNHEARD = "unheard"
"""Marks in what a job has tried, beside tokens and upstreams, of what may happen only once: that it
is asked for another form of its answer, that it is asked again after an error event that allows it,
and that it is asked again after a call that was sent and got no status."""

ONCE = frozenset({CORRECTED, RETRIED, UNHEARD})


class Step(enum.Enum):
    """How a job goes on after a failed attempt."""

    FAIL = "fail"
    OTHER_TOKEN = "other token"  # noqa: S105
    AGAIN = "again"


@dataclass(frozen=True)
class Decision:
    """The next step, and the seconds to wait before it.

    `once` is what the job has had with it, one of `ONCE`, or empty.
    """

    step: Step
    pause: float = 0.0
    once: str = ""


@dataclass(frozen=True)
class Past:
    """What a job has been through, its present attempt included.

    `upstream_failures` counts the attempts that the upstream has failed, `tokens_tried` the tokens
    that have failed it in their own right. `had` are those of `ONCE` that it has had. `keyed`: it
    has an idempotency key.
    """

    upstream_failures: int = 0
    tokens_tried: int = 0
    had: frozenset[str] = frozenset()
    keyed: bool = False


_FAIL = Decision(Step.FAIL)
_OF_TOKENS = (Blame.TOKEN, Blame.MODEL_FOR_TOKEN)


def decide(fault: Fault, past: Past) -> Decision:
    """Return how a job goes on after this fault of its last attempt."""
    match fault.reach:
        case Reach.UNSENT | Reach.REFUSED:
            return _unpaid(fault, past)
        case Reach.SENT if runs_again(Reach.SENT, past) and fault.kind is not FaultKind.TIMEOUT:
            return _again(fault, past, UNHEARD)
        case Reach.ANSWERED:
            return _after_error_event(fault, past)
        case _:
            return _FAIL


def runs_again(reach: Reach, past: Past) -> bool:
    """Return whether a job may be asked again after a call that was given up at this reach.

    A call without a status may have been run. Whoever sends an idempotency key asks to pay once;
    of the others one second call is the lesser harm, but not where an answer has been paid for.
    """
    if reach is Reach.SENT:
        return not past.keyed and past.had.isdisjoint({UNHEARD, CORRECTED})
    return reach in (Reach.UNSENT, Reach.REFUSED)


def _unpaid(fault: Fault, past: Past) -> Decision:
    """Nothing has been charged: Poe was not asked, or has refused."""
    match blame(fault.kind):
        case Blame.TOKEN | Blame.MODEL_FOR_TOKEN:
            return _other_token(fault, past)
        case Blame.UPSTREAM:
            return _again(fault, past)
        case Blame.REQUEST:
            return _FAIL


def _after_error_event(fault: Fault, past: Past) -> Decision:
    """Poe has answered 200. An `in_band` fault is an error event; any other is a broken stream."""
    if blame(fault.kind) in _OF_TOKENS:
        return _other_token(fault, past)
    retryable = fault.in_band and fault.allow_retry and blame(fault.kind) is Blame.UPSTREAM
    if retryable and RETRIED not in past.had:
        return _again(fault, past, RETRIED)
    return _FAIL


def _other_token(fault: Fault, past: Past) -> Decision:
    if fault.kind is FaultKind.MODEL_NOT_FOUND and past.tokens_tried >= MAX_UNKNOWN:
        return _FAIL
    if fault.in_band and past.tokens_tried >= MAX_IN_BAND:
        return _FAIL
    return Decision(Step.OTHER_TOKEN)


def _again(fault: Fault, past: Past, once: str = "") -> Decision:
    if past.upstream_failures >= MAX_UPSTREAM_FAILURES:
        return _FAIL
    pause = doubled(FIRST_PAUSE, LONGEST_PAUSE, past.upstream_failures)
    return Decision(Step.AGAIN, max(pause, fault.retry_after or 0.0), once)
