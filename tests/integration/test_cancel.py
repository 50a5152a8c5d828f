"""Clients that leave, in every phase of their request: what it costs, and what is left of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from simulated_poe import Call
from tests.support.clients import ask
from tests.support.deployment import Deployment, Gateway, eventually, running_redis
from tests.support.keys import keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

LASTING = {keys.totals, keys.bell, keys.workers, keys.gateways, keys.clock, keys.ledger}
LASTING_OF_EACH = (keys.lease(""), keys.client(""), keys.jobs(""), keys.catalogue, keys.tokens_seen)
"""What is nobody's in particular: the fleet with its tokens, its clock, leases, the ledger, and
where each client's turn is."""

OF_ACCOUNTS = (keys.uses(""), keys.grants(""))
"""What limits count: a key of each for an account, however many jobs there have been."""

LONGEST_LIFE = 700_000
"""Milliseconds that what is left of a finished job may live: `ANSWER_LIFE`, and some."""

LONGEST_LIFE_OF_ACCOUNTS = 86_600_000
"""Milliseconds that what limits count may live: a day, in case the clock is set, and some."""


@dataclass
class Rig:
    """A gateway and a worker whose one token takes one call at a time."""

    deployment: Deployment
    gateway: Gateway
    redis: Any

    @property
    def calls(self) -> list[Call]:
        assert self.deployment.poe
        return list(self.deployment.poe.record.calls)

    async def queued(self) -> bool:
        return bool(await self.redis.hget(keys.totals, "waiting") == b"1")

    async def called(self) -> bool:
        return bool(self.calls)

    async def begun(self) -> bool:
        jobs = [key async for key in self.redis.scan_iter(keys.job("*"))]
        rows = [await self.redis.hmget(key, ["state", "begun"]) for key in jobs]
        return [b"running", b"1"] in rows


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with _house(tmp_path_factory.mktemp("cancel")) as rig:
        yield rig


@asynccontextmanager
async def _house(directory: Path) -> AsyncIterator[Rig]:
    async with running_redis() as server, Redis.from_url(server.url, protocol=2) as redis:
        deployment = Deployment(directory, server)
        try:
            await deployment.start_poe()
            await deployment.start_worker(config="coolDown = 0\nmaxInFlight = 1\n")
            gateway = await deployment.start_gateway(config="statusHold = 0\n")
            yield Rig(deployment, gateway, redis)
        finally:
            await deployment.close()


def _connections(url_or_port: str | int) -> int:
    """Open connections that a server on this machine has accepted."""
    port = int(str(url_or_port).rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


async def _leave(http: httpx.AsyncClient, bot: str, text: str, stream: bool, when: Any) -> None:
    """Ask, and close the connection when the moment has come."""
    asking = asyncio.create_task(ask(http, bot, text, stream=stream))
    await eventually(when, "the moment to leave")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def _nothing_is_left(rig: Rig) -> None:
    """No request, call, grant, connection or key is left that was not meant to be."""
    await eventually(lambda: _active(rig.gateway, 0), "an idle gateway")
    await eventually(lambda: all(call.ended for call in rig.calls), "the end of all calls")
    await eventually(lambda: _counts_nothing(rig.redis), "counters at 0")
    await eventually(lambda: _connections(rig.gateway.port) == 0, "closed connections")
    for pattern in (keys.owned("*"), keys.served("*"), keys.ring, keys.again, keys.asked("*")):
        assert [key async for key in rig.redis.scan_iter(pattern)] == []
    async for name in rig.redis.scan_iter():
        key = name.decode()
        life = await rig.redis.pttl(name)
        kept = key in LASTING or key.startswith(LASTING_OF_EACH)
        longest = LONGEST_LIFE_OF_ACCOUNTS if key.startswith(OF_ACCOUNTS) else LONGEST_LIFE
        assert kept or 0 < life <= longest, f"{key} would live for {life} ms"
        if key.startswith(keys.jobs("")):
            assert await rig.redis.xlen(name) == 0
            assert (await rig.redis.xpending(name, "workers"))["pending"] == 0


async def _active(gateway: Gateway, expected: int) -> bool:
    async with gateway.http(None) as http:
        text = (await http.get("/metrics")).text
    samples = {s.name: s.value for f in text_string_to_metric_families(text) for s in f.samples}
    return bool(samples["poe2gpt_active_requests"] == expected)


async def _counts_nothing(redis: Any) -> bool:
    counts = [await redis.hget(keys.totals, "waiting")]
    async for key in redis.scan_iter(keys.client("*")):
        counts += await redis.hmget(key, ["open", "waiting", "running"])
    async for key in redis.scan_iter(keys.grants("*")):
        counts.append(await redis.zcard(key))
    return all(int(count or 0) == 0 for count in counts)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("bot", "text", "when"),
    [
        pytest.param("Silent", "wait 60", Rig.called, id="before the first byte"),
        pytest.param("Silent-open", "wait 60", Rig.called, id="after Poe's head"),
        pytest.param("Silent-stall", "wait 60", Rig.begun, id="in a silence behind some words"),
        pytest.param("Count", "5000 every 20ms", Rig.begun, id="in the middle of words"),
    ],
)
async def test_a_client_that_leaves_ends_its_call_and_leaves_nothing(
    shared: Rig, bot: str, text: str, when: Callable[[Rig], Awaitable[bool]], stream: bool
) -> None:
    assert shared.deployment.poe
    shared.deployment.poe.record.clear()
    idle = _connections(shared.deployment.poe.url)
    async with shared.gateway.http() as http:
        await _leave(http, bot, text, stream, lambda: when(shared))
        # The one place that the token has is free again.
        async with asyncio.timeout(5):
            next_one = await ask(http, "Echo", "next", stream=stream)

    assert next_one.text == "next"
    assert [call.outcome for call in shared.calls] == ["client_left", "answered"]
    await _nothing_is_left(shared)
    # That of the next answer may be kept for another.
    assert _connections(shared.deployment.poe.url) <= idle + 1


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_client_that_leaves_the_line_costs_nothing(shared: Rig, stream: bool) -> None:
    assert shared.deployment.poe
    shared.deployment.poe.record.clear()
    async with shared.gateway.http() as http, asyncio.TaskGroup() as group:
        before = group.create_task(ask(http, "Count", "5000 every 20ms"))
        await eventually(shared.called, "the call that takes the only place")

        await _leave(http, "Echo", "never", stream, shared.queued)
        await eventually(lambda: _active(shared.gateway, 1), "the end of the one that waited")
        waiting = await shared.redis.hget(keys.totals, "waiting")
        before.cancel()

    assert waiting == b"0"
    assert [call.bot.casefold() for call in shared.calls] == ["count"]
    await _nothing_is_left(shared)


async def test_whenever_clients_leave_nothing_is_left(shared: Rig) -> None:
    dice = random.Random(5)

    async def come_and_go(http: httpx.AsyncClient, n: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(dice.uniform(0, 1.5)):
                await ask(http, dice.choice(["Echo", "Silent", "Count"]), "0.05", stream=n % 2 == 0)

    limits = httpx.Limits(max_connections=None)
    async with shared.gateway.http(limits=limits) as http:
        await asyncio.gather(*(come_and_go(http, n) for n in range(60)))

    await _nothing_is_left(shared)
    async with shared.gateway.http() as http:
        assert (await ask(http, "Echo", "still here")).text == "still here"
