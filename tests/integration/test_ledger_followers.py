"""Those who read the ledger on and on: the admin page's, and a gateway's for its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.calls.ledger import PAGE
from contract.ledger import LedgerRecord, Request
from gateway.queue.server import Server
from gateway.queue.spending import Spending
from store.ledger import BEGINNING, Follower, before
from tests.support.deployment import RedisServer
from tests.support.keys import keys


@pytest_asyncio.fixture
async def server(redis_server: RedisServer) -> AsyncIterator[Server]:
    server = Server(redis_server.url)
    yield server
    await server.aclose()


async def write(redis: Redis, *records: object) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for record in records:
            pipe.xadd(keys.ledger, {"r": msgspec.msgpack.encode(record)})
        await pipe.execute()


def asked(job: str) -> Request:
    return Request(job=job, client="1")


async def test_each_record_is_handed_on_once_whoever_asks_at_the_same_time(
    server: Server, redis: Redis
) -> None:
    found: list[str] = []
    follower = Follower(server.run, lambda _, record: found.append(record.job), BEGINNING)
    written = [str(number) for number in range(2 * PAGE + 1)]
    await write(redis, *map(asked, written))

    await asyncio.gather(*(follower.refresh() for _ in range(3)))
    await write(redis, asked("last"))
    await follower.refresh()

    assert found == [*written, "last"]


async def test_an_instant_stands_before_all_that_was_written_from_then_on(
    server: Server, redis: Redis
) -> None:
    for at in (1000, 2000, 3000):
        await redis.xadd(keys.ledger, {"r": msgspec.msgpack.encode(asked(f"{at}"))}, id=f"{at}-0")
    found: list[str] = []

    await Follower(server.run, lambda _, record: found.append(record.job), before(2000)).refresh()

    assert found == ["2000", "3000"]


async def test_a_gateway_counts_what_is_written_from_its_first_look_on(
    server: Server, redis: Redis
) -> None:
    found: list[LedgerRecord] = []
    spending = Spending(server, found.append)
    await write(redis, asked("before"))

    await spending.look()
    await write(redis, asked("after"))
    await spending.look()

    assert found == [asked("after")]


async def test_a_gateway_passes_over_what_a_later_version_has_written(
    server: Server, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[LedgerRecord] = []
    spending = Spending(server, found.append)
    await spending.look()
    await write(redis, ["another kind", 1])
    for _ in range(3):
        await spending.look()

    await write(redis, asked("after"))
    await spending.look()

    assert found == [asked("after")]
    assert len([each for each in caplog.messages if "later version" in each]) == 1
