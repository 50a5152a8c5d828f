"""Workers that are killed or frozen, and what becomes of their jobs."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from simulated_poe import Call, SimulatedPoe
from tests.support.chaos import Plan, chaos
from tests.support.clients import Told, ask, counted
from tests.support.deployment import Child, Deployment, Gateway, eventually, running_redis
from tests.support.keys import keys

LIFE = 6000
"""Milliseconds for which a lease lasts unless it is renewed; the default."""


@dataclass
class Fleet:
    """A gateway, and workers of one token."""

    deployment: Deployment
    redis: Any
    gateway: Gateway
    workers: list[Child]

    @property
    def poe(self) -> SimulatedPoe:
        assert self.deployment.poe
        return self.deployment.poe

    @property
    def calls(self) -> list[Call]:
        return list(self.poe.record.calls)

    async def called(self, times: int) -> None:
        """Wait until Poe has been called so often."""
        await eventually(lambda: len(self.calls) == times, f"{times} calls")

    async def begun(self, jobs: int = 1) -> bool:
        """Return whether so many of the running jobs have output."""
        found = [key async for key in self.redis.scan_iter(keys.job("*"))]
        rows = [await self.redis.hmget(key, ["state", "begun"]) for key in found]
        return rows.count([b"running", b"1"]) == jobs

    async def owner(self) -> Child:
        """The worker that has a job."""

        async def found() -> Child | None:
            for worker in self.workers:
                if await self.redis.exists(keys.owned(_name(worker))):
                    return worker
            return None

        owner: Child = await eventually(found, "a worker with a job")
        return owner

    async def live(self, workers: int) -> bool:
        async with self.gateway.http(None) as http:
            return bool((await http.get("/readyz")).json()["workers"] == workers)


async def _start(
    deployment: Deployment, redis: Redis, workers: int = 2, config: str = "coolDown = 0\n"
) -> Fleet:
    """Start a fleet, whose workers all live before anything is asked."""
    await deployment.start_poe()
    started = [await deployment.start_worker(config=config) for _ in range(workers)]
    gateway = await deployment.start_gateway(config="statusHold = 0\n")
    fleet = Fleet(deployment, redis, gateway, started)
    await eventually(lambda: fleet.live(workers), "all workers")
    return fleet


def _name(worker: Child) -> str:
    found = re.search(r'"worker":"([^"]+)"', worker.output())
    assert found
    return found[1]


async def _ask_both_ways(http: httpx.AsyncClient, bot: str, text: str) -> list[Told]:
    """One client reads along, and one wants its answer whole."""
    return await asyncio.gather(*(ask(http, bot, text, stream=stream) for stream in (True, False)))


async def test_the_answers_of_a_killed_worker_come_from_another_unless_they_had_begun(
    deployment: Deployment, redis: Redis
) -> None:
    fleet = await _start(deployment, redis)
    async with fleet.gateway.http() as http:
        begun = asyncio.create_task(_ask_both_ways(http, "Count", "5000 every 20ms"))
        await eventually(lambda: fleet.begun(2), "the first words")
        silent = asyncio.create_task(_ask_both_ways(http, "Silent", "wait 60"))
        await fleet.called(4)

        await (await fleet.owner()).stop(signal.SIGKILL)
        streamed, whole = await begun
        await fleet.called(6)
        fleet.poe.hurry.set()
        told = await silent

    assert (streamed.status, streamed.code) == (200, "interrupted")
    assert (whole.status, whole.code) == (502, "interrupted")
    assert whole.headers["x-should-retry"] == "false"
    assert streamed.text
    assert counted(5000).startswith(streamed.text)
    assert [(one.is_whole, one.text) for one in told] == [(True, "done waiting")] * 2
    # What had begun was not begun again.
    assert [call.outcome for call in fleet.calls] == ["client_left"] * 4 + ["answered"] * 2
    assert [call.bot.casefold() for call in fleet.calls] == ["count"] * 2 + ["silent"] * 4
    log = fleet.gateway.child
    await eventually(lambda: log.output().count('"attempts":2') == 2, "the log")


async def test_an_answer_ends_though_the_only_worker_was_killed(
    deployment: Deployment, redis: Redis
) -> None:
    fleet = await _start(deployment, redis, 1, "coolDown = 0\nleaseLife = 1\n")
    async with fleet.gateway.http() as http:
        begun = asyncio.create_task(ask(http, "Count", "5000 every 20ms"))
        await eventually(lambda: fleet.begun(1), "the first words")
        await (await fleet.owner()).stop(signal.SIGKILL)
        told = await begun

    assert (told.status, told.code) == (200, "interrupted")
    assert counted(5000).startswith(told.text)


async def test_a_request_that_kills_its_workers_is_given_up_with_an_error(
    deployment: Deployment, redis: Redis
) -> None:
    fleet = await _start(deployment, redis, workers=3)
    async with fleet.gateway.http() as http:
        asking = asyncio.create_task(ask(http, "Silent", "wait 60", stream=False))
        for deaths in range(1, 3):
            await fleet.called(deaths)
            victim = await fleet.owner()
            fleet.workers.remove(victim)
            await victim.stop(signal.SIGKILL)
        told = await asking

    assert (told.status, told.code) == (502, "interrupted")
    assert "given up" in told.errors[0]["message"]
    assert len(fleet.calls) == 2


async def test_what_a_killed_worker_had_is_taken_over_before_its_lease_has_run_out(
    deployment: Deployment, redis: Redis
) -> None:
    fleet = await _start(deployment, redis, workers=3)
    (lease,) = [key async for key in redis.scan_iter(keys.lease("*"))]
    # One token for three workers is due to the first of them by name.
    victim = min(fleet.workers, key=_name)

    async def holds_it() -> bool:
        return (await _lease(redis, lease))[0] == _name(victim)

    await eventually(holds_it, "a settled lease")
    _, expires = await _lease(redis, lease)

    async def renewed() -> bool:
        return (await _lease(redis, lease))[1] != expires

    await eventually(renewed, "a beat")
    victim.send(signal.SIGSTOP)
    owner, expires = await _lease(redis, lease)
    await victim.stop(signal.SIGKILL)

    async def taken_over() -> bool:
        return (await _lease(redis, lease))[0] != owner

    await eventually(taken_over, "the takeover")
    _, new_expires = await _lease(redis, lease)

    assert new_expires - LIFE < expires


async def _lease(redis: Redis, lease: bytes) -> tuple[str, int]:
    """The owner, and when it lapses, in milliseconds of Redis's clock."""
    fields: Any = redis.hmget(lease.decode(), ["owner", "expires"])
    owner, expires = await fields
    return owner.decode(), int(expires)


# Two workers that live through all of these.

survivors = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def living(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with running_redis() as server, Redis.from_url(server.url, protocol=2) as redis:
        deployment = Deployment(tmp_path_factory.mktemp("living"), server)
        try:
            yield await _start(deployment, redis, config="coolDown = 0\nleaseLife = 2\n")
        finally:
            await deployment.close()


@survivors
async def test_a_worker_that_was_frozen_cannot_add_a_byte_and_ends_its_call(living: Fleet) -> None:
    async with living.gateway.http() as http:
        asking = asyncio.create_task(ask(http, "Count", "5000 every 20ms"))
        await eventually(living.begun, "the first words")
        frozen = await living.owner()
        (call,) = [call for call in living.calls if call.ended is None]
        frozen.send(signal.SIGSTOP)
        told = await asking
        log = keys.log(told.job)
        before = await living.redis.xrange(log)
        still_called = call.outcome

        frozen.send(signal.SIGCONT)
        await eventually(lambda: call.ended, "the end of the call")
        after = await living.redis.xrange(log)
        again = await ask(http, "Count", "5")

    assert told.code == "interrupted"
    assert still_called == "running"
    assert after == before
    assert again.text == counted(5)
    assert frozen.process.returncode is None
    await eventually(lambda: '"outcome":"stale"' in frozen.output(), "the end of the run")


@survivors
async def test_a_silence_longer_than_a_lease_is_no_death(living: Fleet) -> None:
    before = len(living.calls)

    async with living.gateway.http() as http:
        told = await ask(http, "Silent", "wait 3")

    assert told.text == "done waiting"
    assert len(living.calls) == before + 1


@survivors
async def test_workers_that_lose_their_subscription_again_and_again_are_not_dead(
    living: Fleet,
) -> None:
    before, done = len(living.calls), asyncio.Event()

    async def cut() -> int:
        cuts = 0
        while not done.is_set():
            cuts += await living.redis.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.05)
        return cuts

    cutting = asyncio.create_task(cut())
    async with living.gateway.http() as http:
        told: list[Told] = await asyncio.gather(
            *(ask(http, "Count", "40 every 50ms") for _ in range(5))
        )
    done.set()

    assert await cutting > 10
    assert [one.text for one in told] == [counted(40)] * 5
    assert len(living.calls) == before + 5


@pytest.mark.timeout(120)
async def test_no_word_is_lost_or_doubled_whoever_dies(deployment: Deployment) -> None:
    plan = Plan(
        requests=100,
        at_once=25,
        words=(20, 80),
        workers=3,
        kill_worker_every=2.0,
        # A dead gateway's jobs are seen to after 15 s, for which only bench/chaos.py has the time.
        kill_gateway_every=3600.0,
        restart_redis_after=50,
    )

    outcome = await chaos(deployment, plan)

    print(f"\n{outcome}")  # noqa: T201  # what was seen is worth a look
    assert outcome.wrong == []
    assert outcome.worker_kills >= 2
    assert outcome.redis_kills == 1
    assert outcome.endings["whole"] > 50
    assert outcome.endings.total() == 100
