"""What the admin service keeps in memory of what is in Redis, for all who look."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from admin.books import MOST_ZONES, Books
from admin.own_key import NAME, OwnKey
from admin.watch import Watch
from contract.calls.call import Call
from contract.calls.ledger import ReadLedger
from contract.ledger import Request
from contract.stored_keys import may_be_secret
from contract.usage import DAY, Row, Usage
from store.link import Link
from store.stored_keys import StoredKeys
from tests.support.deployment import RedisServer
from tests.support.keys import keys

DAYS = {"old": 1_760_000_000_000, "new": 1_773_000_000_000}


@pytest.fixture
async def link(redis_server: RedisServer) -> AsyncIterator[Link]:
    link = Link(redis_server.url, timeout=5)
    yield link
    await link.aclose()


async def write(redis: Redis, *days: str) -> None:
    for n, day in enumerate(days):
        record = Request(job=f"{day}{n}", client="c", model="m", asked=DAYS[day], sent=1)
        value = msgspec.msgpack.encode(record)
        await redis.xadd(keys.ledger, {"r": value}, id=f"{DAYS[day]}-{n + 1}")


async def test_however_many_look_redis_is_asked_once(redis: Redis, link: Link) -> None:
    asked: list[str] = []

    async def run(call: Call[Any]) -> Any:
        asked.append(call.script)
        return await link.run(call, "0")

    watch = Watch(run)

    looks = await asyncio.gather(*(watch.look() for _ in range(20)))

    assert asked.count("overview") == 1
    assert len({look.at for look in looks}) == 1


async def test_the_record_of_an_answer_is_found_when_it_comes(redis: Redis, link: Link) -> None:
    watch = Watch(partial(link.run, now="0"))
    await watch.look()

    finding = asyncio.create_task(watch.record_of("a1"))
    await redis.xadd(keys.ledger, {"r": msgspec.msgpack.encode(Request(job="a1", client="c"))})
    found = await finding

    assert found is not None
    assert found.job == "a1"


async def test_sums_follow_the_ledger_and_forget_what_it_forgets(redis: Redis, link: Link) -> None:
    books = Books(partial(link.run, now="0"))

    await write(redis, "old", "old")
    before = await books.read("UTC", by_day)
    await write(redis, "new")
    both = await books.read("UTC", by_day)
    await redis.xtrim(keys.ledger, minid=str(DAYS["new"]), approximate=False)
    after = await books.read("UTC", by_day)

    assert [row.sums.requests for row in before] == [2]
    assert [row.sums.requests for row in both] == [2, 1]
    assert [row.sums.requests for row in after] == [1]


async def test_days_are_those_of_the_zone_and_few_zones_are_kept(redis: Redis, link: Link) -> None:
    from_the_beginning: list[ReadLedger] = []

    async def run(call: Call[Any]) -> Any:
        if isinstance(call, ReadLedger) and not call.after and call.count > 1:
            from_the_beginning.append(call)
        return await link.run(call, "0")

    books = Books(run)
    await write(redis, "new")

    zones = ["UTC", "Asia/Tokyo", "Europe/Berlin", "UTC", "America/New_York", "Asia/Tokyo"]
    found = [await books.read(zone, lambda usage: usage.zone) for zone in zones]

    assert found == zones
    assert MOST_ZONES == 3
    # All but UTC the second time, which was kept.
    assert len(from_the_beginning) == 5
    with pytest.raises(LookupError):
        await books.read("Mars/Olympus", by_day)


async def test_others_are_served_while_sums_are_read(redis: Redis, link: Link) -> None:
    books, others = Books(partial(link.run, now="0")), threading.Event()

    reading = asyncio.create_task(books.read("UTC", lambda _: others.wait(30)))
    again = asyncio.create_task(books.read("UTC", by_day))
    await link.call("PING")
    await books.read("Asia/Tokyo", by_day)
    others.set()

    assert await reading
    assert await again == []


async def test_two_services_that_make_the_pages_key_at_once_both_have_a_secret(
    redis: Redis, link: Link
) -> None:
    run = partial(link.run, now="0")

    secrets = await asyncio.gather(*(OwnKey(run).secret() for _ in range(4)))

    assert all(map(may_be_secret, secrets))
    assert [key.name async for key in StoredKeys(run).list()] == [NAME]


def by_day(usage: Usage) -> list[Row]:
    return usage.rows((DAY,))
