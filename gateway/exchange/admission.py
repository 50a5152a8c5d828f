"""The policy of an exchange: may a request wait, for how long, and when to try again. Pure."""

from __future__ import annotations

import re

from contract.calls.gateway import Rejection
from contract.messages import Failed, FailureKind
from gateway.config import AccessToken, GatewayConfig
from gateway.problems import (
    Problem,
    invalid_request,
    queue_full,
    queue_timeout,
    rate_limited,
    storage_full,
    too_many_choices,
    unavailable,
)
from gateway.queue.fleet import Fleet

BUSY_RETRY_AFTER = 1.0
"""Seconds after which a client with as many requests as it may have may try again."""

UNKNOWN_WAIT = 5.0
"""Seconds after which a client tries again where the wait cannot be estimated."""

MIB = 1024 * 1024

LEAST = MIB
"""Bytes that requests may take in all, however small Redis's `maxmemory` is."""

UNBOUNDED = 1024 * MIB
"""Bytes that a Redis without `maxmemory` is taken to have."""

OF_REDIS = 2
"""What fills Redis is refused to everyone: requests may have one in so many of its bytes."""

OF_ALL = 4
"""One in so many bytes of requests, and of kept answers, may be one client's."""

KEPT_OF_REDIS = 4
"""Kept answers may have one in so many of Redis's bytes."""

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def patience(longest: float, asked: str | None) -> float:
    """Return the seconds for which a request may wait in the queue.

    `asked` is the header X-Queue-Timeout, which can only shorten the wait. Raises Problem.
    """
    if asked is None:
        return longest
    seconds = float(asked) if _SECONDS.fullmatch(asked) else 0.0
    if not seconds:
        raise invalid_request("x-queue-timeout must be a positive number of seconds.")
    return min(seconds, longest)


def check_choices(choices: int, config: GatewayConfig, client: AccessToken) -> None:
    """Raise Problem for more choices than the client may ever have at once."""
    bounds = [client.max_concurrent, client.rate_limit]
    most = min(config.max_queued, config.max_queued_total, *filter(None, bounds))
    if choices > most:
        raise too_many_choices(choices, most)


def hopeless(fleet: Fleet) -> Failed | None:
    """Return why no request can be answered, if none can: every key is parked or refused."""
    tokens = fleet.tokens
    if tokens.free or tokens.cooling or tokens.busy or fleet.others:
        return None
    if tokens.parked:
        return Failed(FailureKind.NO_POINTS, "No Poe key of this deployment has points left.")
    if tokens.disabled:
        return Failed(FailureKind.NO_TOKEN, "Poe refuses every key of this deployment.")
    return None


def too_long(wait: float | None, patience: float) -> Problem | None:
    """Return why a request that would wait for `wait` seconds is refused, if it is.

    Decided before it is queued: from then on it may cost something at any time.
    """
    return queue_timeout(wait) if wait is not None and wait > patience else None


def rejected(rejection: Rejection, wait: float | None) -> Problem:
    """Return what a rejection means to the client, who would have waited for `wait` seconds."""
    match rejection.reason:
        case "full":
            return queue_full(retry_after(wait))
        case "heavy":
            return storage_full(retry_after(wait))
        case "forgotten":
            return unavailable("The answer to an equal request of yours has just ended.", 1.0)
        case _:
            # Only `limited` knows when the client may ask again, in milliseconds.
            seconds = rejection.number / 1000 if rejection.reason == "limited" else 0.0
            return rate_limited(seconds or BUSY_RETRY_AFTER)


def retry_after(wait: float | None) -> float:
    """Return the seconds after which a refused client should try again."""
    return wait or UNKNOWN_WAIT


def hold(longest: float, wait: float | None, *, is_begun: bool) -> float:
    """Return the seconds for which the status line waits for the first output.

    It does not wait where nothing will come in that time.
    """
    return 0.0 if not is_begun and (wait or 0) > longest else longest


def most_stored(config: GatewayConfig, maxmemory: int) -> tuple[int, int]:
    """Return the most bytes of requests that Redis may store: of one client, and of all.

    Each is stored until it is answered. `maxmemory` is Redis's setting, in bytes, 0 where it has
    none. A Redis that is smaller than any sense is not refused on its account: it says itself
    that it is full, which passes, while a request beyond these bounds is told that it never fits.
    """
    in_all = config.max_stored_total * MIB or max((maxmemory or UNBOUNDED) // OF_REDIS, LEAST)
    of_one = config.max_stored * MIB or in_all // OF_ALL
    return min(of_one, in_all), in_all


def most_kept(config: GatewayConfig, maxmemory: int) -> tuple[int, int]:
    """Return the most bytes of answers that Redis may keep: of one client, and of all.

    `maxmemory` is Redis's setting, in bytes, 0 where it has none.
    """
    in_all = config.max_kept_total * MIB or (maxmemory or UNBOUNDED) // KEPT_OF_REDIS
    of_one = config.max_kept * MIB or in_all // OF_ALL
    return min(of_one, in_all), in_all
