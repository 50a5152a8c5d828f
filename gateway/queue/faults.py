"""What a fault of Redis is to a client."""

from __future__ import annotations

import logging

from redis.exceptions import OutOfMemoryError, ResponseError

from gateway.problems import Problem, unavailable

_log = logging.getLogger("gateway.queue")

_RETRY_AFTER = 1.0


def no_queue(fault: BaseException) -> Problem:
    """Log why a request cannot be queued, and return the problem for its client."""
    _log.warning("cannot queue a request: %r", fault)
    match fault:
        case OutOfMemoryError():
            why = "is full: its Redis has reached maxmemory"
        case ResponseError():
            why = "takes no requests at the moment"
        case _:
            why = "cannot be reached"
    return unavailable(f"The queue {why}. Try again in a moment.", _RETRY_AFTER)
