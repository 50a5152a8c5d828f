"""What the end of a call says of its token: how long it rests, is parked, or is unfit for a model.

All times are in seconds."""

from __future__ import annotations

from contract.calls.tokens import TokenUpdate
from worker.poe.faults import Fault, FaultKind
from worker.poe.limits import RateLimits
from worker.policy.backoff import doubled

RATE_LIMIT_REST, LONGEST_REST = 10.0, 300.0
"""How long an account rests after a 429 without `Retry-After`, and the most that this doubles
to."""

SHORTEST_REST = 1.0
"""How long an account rests at least after a 429, even if `Retry-After` says 0."""

NO_POINTS_PARK, LONGEST_PARK = 900.0, 4 * 3600.0
"""For how long a token without points is set aside; its balance may bring it back before."""

BAD_KEY_PARK = 24 * 3600.0
"""For how long a key that Poe does not know is left alone."""

UNFIT_LIFE = 3600.0
"""For how long a token's refusal of one model is remembered."""

TOO_DEAR_LIFE = 300.0
"""For how long a token is not asked for a model that costs more points than its account has."""

IN_BAND_LIFE = 30.0
"""For how long a token is not asked for a model whose answer has blamed it without proof."""

BAD_KEY = "bad key"
NO_POINTS = "no points"


def look_every(state: str) -> float:
    """Return how often the balance of a token that is set aside is looked at, by the reason."""
    return 3600.0 if state == BAD_KEY else 300.0


def needs_proof(kind: FaultKind) -> bool:
    """Return whether the token's balance has to confirm the fault before the token is parked."""
    return kind in (FaultKind.NO_POINTS, FaultKind.BAD_KEY)


def penalty_of(
    fault: Fault, *, model: str, strikes: int, luck: float, proven: bool = True
) -> TokenUpdate | None:
    """Return what all workers should know of the token after this fault; None: nothing.

    A fault that `needs_proof` and is not `proven`, and any that is in band and rate limits, is
    held against the token for this model only: an expensive bot does not empty an account, and a
    bot can say what it likes.

    `strikes` counts the times in a row that this token has failed in its own right, this one
    included. `luck`, from 0 to 1, spreads the returns of tokens that failed together.
    """
    if unfit := _unfit(fault, proven=proven):
        return TokenUpdate(unfit_model=model, unfit=unfit)
    match fault.kind:
        case FaultKind.RATE_LIMITED if fault.retry_after is not None:
            return TokenUpdate(rest=max(fault.retry_after, SHORTEST_REST), strikes=strikes)
        case FaultKind.RATE_LIMITED:
            return TokenUpdate(
                rest=backoff(RATE_LIMIT_REST, LONGEST_REST, strikes, luck), strikes=strikes
            )
        case FaultKind.NO_POINTS:
            return TokenUpdate(
                park=backoff(NO_POINTS_PARK, LONGEST_PARK, strikes, luck),
                state=NO_POINTS,
                reason="its account has not enough points",
                strikes=strikes,
            )
        case FaultKind.BAD_KEY:
            return TokenUpdate(
                park=BAD_KEY_PARK,
                state=BAD_KEY,
                reason="Poe does not accept the key",
                strikes=strikes,
            )
        case _:
            return None


def counts_as_strike(fault: Fault, *, proven: bool) -> bool:
    """Return whether the token has failed in its own right."""
    return proven or (fault.kind is FaultKind.RATE_LIMITED and not fault.in_band)


def update_after_answer(limits: RateLimits | None, *, was_well: bool) -> TokenUpdate | None:
    """Return what all workers should know of the token after an answer; None: nothing.

    `limits` is the account's rate limit by Poe's own count, which overrides ours. A token
    against which something was held is well again.
    """
    is_used_up = limits is not None and limits.remaining == 0
    rest = (limits.reset if limits and is_used_up else None) or 0.0
    if was_well and not rest:
        return None
    return TokenUpdate(rest=rest, park=0.0 if was_well else -1.0)


def _unfit(fault: Fault, *, proven: bool) -> float:
    """Return for how long the token is not asked for this model; 0: the fault is about something
    else."""
    of_model = fault.kind is FaultKind.NOT_ENTITLED or (needs_proof(fault.kind) and not proven)
    if fault.in_band and (of_model or fault.kind is FaultKind.RATE_LIMITED):
        return IN_BAND_LIFE
    if not of_model:
        return 0.0
    return UNFIT_LIFE if fault.kind is FaultKind.NOT_ENTITLED else TOO_DEAR_LIFE


def backoff(first: float, longest: float, strikes: int, luck: float) -> float:
    """Return `first`, doubled with each strike after the first up to `longest`, give or take a
    tenth."""
    return doubled(first, longest, strikes) * (0.9 + 0.2 * luck)
