"""What OpenAI's two APIs have in common beside errors: headers, and keep-alives."""

from __future__ import annotations

import math

from gateway.dialect import Headers, RateLimit

EXPOSED = (
    "retry-after",
    "x-should-retry",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""The headers that a web page may read."""


def rate_limit_headers(limit: RateLimit) -> Headers:
    """Return the headers that tell a client how often it may ask."""
    return [
        ("x-ratelimit-limit-requests", str(limit.limit)),
        ("x-ratelimit-remaining-requests", str(limit.remaining)),
        ("x-ratelimit-reset-requests", f"{math.ceil(limit.reset)}s"),
    ]


def keep_alive(position: int | None = None, eta: float | None = None) -> bytes:
    """Render a comment, which every client skips.

    It must not begin with `: ping`, which Continue takes for the end.
    """
    place = "" if position is None else f" position={position}"
    wait = "" if eta is None else f" eta={max(1, round(eta))}s"
    queued = " queued" if place or wait else ""
    return f": keep-alive{queued}{place}{wait}\n\n".encode("ascii")
