"""redis-py's connections, as the processes use them: on uvloop, against a real Redis."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from redis import exceptions
from redis.asyncio import Connection

from store.client import connect
from tests.support.deployment import RedisServer


async def _write_to_a_closed_transport(url: str) -> None:
    redis = connect(url, connections=1, timeout=5.0)
    connection: Connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
    assert connection._writer is not None
    # As uvloop does by itself when the server resets the connection between two commands.
    connection._writer.transport.abort()
    await asyncio.sleep(0)
    try:
        await connection.send_command("PING")
    finally:
        await redis.aclose()


def test_a_lost_connection_that_is_written_to_is_a_fault_of_redis(
    redis_server: RedisServer,
) -> None:
    with pytest.raises(exceptions.ConnectionError, match="the connection was lost"):
        uvloop.run(_write_to_a_closed_transport(redis_server.url))
