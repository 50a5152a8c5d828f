"""What to do with a job whose attempt failed: a value, not control flow."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from worker.poe.faults import Blame, Fault, FaultKind, blame

MAX_UPSTREAM_FAILURES = 3
"""Attempts of one job that may fail for the upstream's sake: the first and two more."""

MAX_UNKNOWN = 3
"""Tokens that may say that there is no such model, before we believe it: it can be their plan."""

MAX_IN_BAND = 3
"""Tokens of which a bot may say that they are at fault, before we take it that the bot is."""

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for the third."""


class Step(enum.Enum):
    """How a job goes on after a failed attempt."""

    FAIL = "fail"
    OTHER_TOKEN = "other token"  # noqa: S105
    AGAIN = "again"


@dataclass(frozen=True)
class Decision:
    """The next step, and the seconds to wait before it."""

    step: Step
    pause: float = 0.0


def decide(fault: Fault, *, output: bool, upstream_failures: int, tokens_tried: int) -> Decision:
    """Say how a job goes on.

    `upstream_failures` counts the attempts that the upstream has failed, `tokens_tried` the tokens
    that have failed it in their own right, this attempt and its token included. After
    the first output nothing is ever tried again: the client would read a second answer behind half
    of the first, and where nothing has reached it yet Poe would charge for both.
    """
    if output or _is_believed(fault, tokens_tried):
        return Decision(Step.FAIL)
    match blame(fault.kind):
        case Blame.TOKEN | Blame.MODEL_FOR_TOKEN:
            return Decision(Step.OTHER_TOKEN)
        case Blame.REQUEST:
            return Decision(Step.FAIL)
        case Blame.UPSTREAM:
            # An empty answer is an answer: Poe has run it, and charges for it.
            is_vain = fault.kind is FaultKind.EMPTY or not fault.allow_retry
            if is_vain or upstream_failures >= MAX_UPSTREAM_FAILURES:
                return Decision(Step.FAIL)
            return Decision(Step.AGAIN, FIRST_PAUSE * 2 ** (upstream_failures - 1))


def _is_believed(fault: Fault, tokens_tried: int) -> bool:
    """Return whether so many tokens had the same fault that none of them is to blame."""
    if fault.kind is FaultKind.MODEL_NOT_FOUND:
        return tokens_tried >= MAX_UNKNOWN
    return fault.in_band and blame(fault.kind) in _OF_TOKENS and tokens_tried >= MAX_IN_BAND


_OF_TOKENS = {Blame.TOKEN, Blame.MODEL_FOR_TOKEN}
