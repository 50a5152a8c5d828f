"""The headers that say what a client should do about a problem."""

from __future__ import annotations

import math

from gateway.dialect import Headers
from gateway.problems import Problem

MAX_MESSAGE = 4_000
"""Characters of a message. Escaped to ASCII they take at most 48,000 bytes, so an error fits one
SSE line."""

_DEFAULT_RETRY_AFTER = 5.0
"""Seconds, where the wait is unknown: clients expect the header on what is only busy."""

_BUSY = (429, 503, 529)


def problem_headers(problem: Problem, status: int, *, longest: float = math.inf) -> Headers:
    """Return the headers, in lower case, that go with an error beside its content type.

    `retry-after` is whole seconds, rounded up and at least 1, since Zed reads only integers, and
    at most `longest`.
    """
    found = []
    wait = problem.retry_after
    if wait is None and status in _BUSY:
        wait = _DEFAULT_RETRY_AFTER
    if wait is not None and math.isfinite(wait):
        found.append(("retry-after", str(min(max(1, math.ceil(wait)), longest))))
    if problem.charged:
        found.append(("x-should-retry", "false"))
    if problem.allow:
        found.append(("allow", problem.allow))
    return found
