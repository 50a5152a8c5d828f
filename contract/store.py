"""Redis as both sides use it: connections that never repeat a command unseen."""

from __future__ import annotations

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

RedisFault = (exceptions.RedisError, OSError, TimeoutError)
"""All that a broken or frozen Redis can raise."""


def connect(url: str, *, connections: int, timeout: float, connect_timeout: float = 5.0) -> Redis:
    """A client that opens up to `connections`; a command may take `timeout` seconds.

    redis-py repeats every command ten times by default, and its plain pool raises when it is
    empty. Here nothing is repeated, and a call waits for a connection.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout,
        protocol=2,
        socket_timeout=timeout,
        socket_connect_timeout=connect_timeout,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def milliseconds(seconds: float) -> int:
    """Seconds as Redis takes them."""
    return round(seconds * 1000)
