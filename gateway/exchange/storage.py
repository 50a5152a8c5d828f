"""How many bytes of requests may be stored in Redis, each until it is answered.

What fills Redis is refused to everyone, so the requests get a part of it, and each client no more
than a part of that: the rest is for answers, and for what Redis needs besides.
"""

from __future__ import annotations

from gateway.config import GatewayConfig

MIB = 1024 * 1024

UNBOUNDED = 1024 * MIB
"""What a Redis without `maxmemory` is taken to have."""

OF_REDIS = 2
"""One in so many bytes of Redis's may be requests."""

OF_ALL = 4
"""One in so many bytes of requests may be one client's."""


def most_stored(config: GatewayConfig, maxmemory: int) -> tuple[int, int]:
    """Return the most bytes of one client and of all.

    `maxmemory` is Redis's setting, in bytes, 0 where it has none.
    """
    in_all = config.max_stored_total * MIB or (maxmemory or UNBOUNDED) // OF_REDIS
    of_one = config.max_stored * MIB or in_all // OF_ALL
    return min(of_one, in_all), in_all
