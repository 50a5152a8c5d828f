"""Whatever ails Redis: new requests hear of it at once, what runs goes on when it is well again.

No process is started anew after a fault, so one rig serves all tests.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from simulated_poe import Call, SimulatedPoe
from tests.support.clients import Told, ask, counted
from tests.support.deployment import Child, Deployment, Gateway, eventually, running_redis
from tests.support.keys import keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

HANGING = 5.0
"""Seconds after which a client of these tests takes a request for hanging."""

WORDS = 200
"""Of an answer that lasts until Poe is told to hurry."""

Cure = Callable[[], Awaitable[None]]


@dataclass
class Rig:
    """All of it, and a client of its Redis."""

    deployment: Deployment
    gateway: Gateway
    redis: Redis

    @property
    def server(self) -> Child:
        child = self.deployment.redis.child
        assert child is not None
        return child

    @property
    def poe(self) -> SimulatedPoe:
        assert self.deployment.poe
        return self.deployment.poe

    @property
    def calls(self) -> list[Call]:
        return list(self.poe.record.calls)

    async def rest(self, answer: asyncio.Task[Told]) -> None:
        """Let Poe say the rest of an answer at once, and wait for its end."""
        self.poe.hurry.set()
        await answer
        self.poe.hurry.clear()

    def http(self) -> httpx.AsyncClient:
        """A client to whom silence is a failure."""
        http = self.gateway.http()
        http.timeout = httpx.Timeout(HANGING)
        return http

    def assert_unharmed(self) -> None:
        for child in self.deployment.children:
            assert child.process.returncode is None
            assert "Traceback" not in child.output()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    directory: Path = tmp_path_factory.mktemp("rig")
    async with running_redis() as server:
        deployment = Deployment(directory, server)
        redis = Redis.from_url(server.url, protocol=2)
        try:
            # Who starts without a Redis works as soon as there is one: the rest depends on it.
            assert server.child is not None
            await server.child.stop(signal.SIGKILL)
            await deployment.start_poe()
            await deployment.start_worker(config="coolDown = 0\n")
            gateway = await deployment.start_gateway(
                config="statusHold = 0\nkeepAlive = 1\n", ready=False
            )
            yield Rig(deployment, gateway, redis)
        finally:
            await redis.aclose()
            await deployment.close()


async def _command(redis: Any, *words: str) -> None:
    assert await redis.execute_command(*words)


async def _cut_everyone(redis: Redis) -> None:
    """End every connection but this one."""
    for kind in ("normal", "pubsub"):
        await redis.client_kill_filter(_type=kind, skipme=True)


async def _killed(rig: Rig) -> Cure:
    await rig.server.stop(signal.SIGKILL)
    return rig.deployment.redis.start


async def _frozen(rig: Rig) -> Cure:
    rig.server.send(signal.SIGSTOP)

    async def thaw() -> None:
        rig.server.send(signal.SIGCONT)

    return thaw


async def _full(rig: Rig) -> Cure:
    await _command(rig.redis, "CONFIG", "SET", "maxmemory", "1")
    return lambda: _command(rig.redis, "CONFIG", "SET", "maxmemory", "0")


async def _demoted(rig: Rig) -> Cure:
    # Of a server that is none: it keeps what it has, and takes nothing that is written.
    await _command(rig.redis, "REPLICAOF", "127.0.0.1", "1")
    return lambda: _command(rig.redis, "REPLICAOF", "NO", "ONE")


async def _without_replicas(rig: Rig) -> Cure:
    await _command(rig.redis, "CONFIG", "SET", "min-replicas-to-write", "1")
    return lambda: _command(rig.redis, "CONFIG", "SET", "min-replicas-to-write", "0")


async def _locked(rig: Rig) -> Cure:
    await _command(rig.redis, "CONFIG", "SET", "requirepass", "another")
    await _cut_everyone(rig.redis)
    return lambda: _command(rig.redis, "CONFIG", "SET", "requirepass", "")


FAULTS = [
    pytest.param(_killed, id="killed"),
    pytest.param(_frozen, id="frozen"),
    pytest.param(_full, id="full"),
    pytest.param(_demoted, id="demoted"),
    pytest.param(_without_replicas, id="without replicas"),
    pytest.param(_locked, id="of another password"),
]


async def _status(http: httpx.AsyncClient, path: str) -> int:
    return (await http.get(path)).status_code


async def _assert_refused(http: httpx.AsyncClient) -> None:
    for stream in (True, False):
        told = await ask(http, "Count", "3", stream=stream)
        assert (told.status, told.code) == (503, "unavailable"), told
        assert int(told.headers["retry-after"]) >= 1
    assert await _status(http, "/readyz") == 503
    assert await _status(http, "/healthz") == 200


async def _answers(http: httpx.AsyncClient) -> bool:
    told = await ask(http, "Count", "3", stream=False)
    assert told.status in (200, 503), told
    return told.text == counted(3)


async def _counting(http: httpx.AsyncClient, words: int) -> tuple[Told, asyncio.Task[Told]]:
    """A stream that has begun."""
    told = Told()
    asking = asyncio.create_task(ask(http, "Count", f"{words} every 100ms", into=told))
    await told.begun.wait()
    return told, asking


async def test_processes_that_start_without_a_redis_work_as_soon_as_there_is_one(
    rig: Rig,
) -> None:
    async with rig.http() as http:
        await _assert_refused(http)
        await rig.deployment.redis.start()
        await eventually(lambda: _answers(http), "an answer")
    rig.assert_unharmed()


async def test_a_full_redis_is_called_full(rig: Rig) -> None:
    body = {"model": "Echo", "messages": [{"role": "user", "content": "hello"}]}
    async with rig.http() as http:
        await eventually(lambda: _answers(http), "an answer")
        cure = await _full(rig)

        refused = await http.post("/v1/chat/completions", json=body)
        await cure()

    assert refused.status_code == 503
    assert "The queue is full" in refused.json()["error"]["message"]


@pytest.mark.parametrize("befall", FAULTS)
async def test_new_requests_are_refused_at_once_and_running_ones_end_whole(
    rig: Rig, befall: Callable[[Rig], Awaitable[Cure]]
) -> None:
    async with rig.http() as http:
        await eventually(lambda: _answers(http), "an answer")
        before = len(rig.calls)
        told, running = await _counting(http, WORDS)

        cure = await befall(rig)
        await _assert_refused(http)
        await cure()

        await eventually(lambda: _answers(http), "an answer")
        await rig.rest(running)
        await eventually(lambda: rig.gateway.answers("/readyz"), "readiness")

    assert told.is_whole
    assert told.text == counted(WORDS)
    assert len(rig.calls) == before + 2
    rig.assert_unharmed()


async def test_a_freeze_longer_than_every_timeout_harms_nobody(rig: Rig) -> None:
    loop = asyncio.get_running_loop()
    async with rig.http() as http:
        told, running = await _counting(http, WORDS)
        thaw = await _frozen(rig)
        # The longest of ours are a blocking read's, and a lease.
        until = loop.time() + 8.0
        while loop.time() < until:
            await _assert_refused(http)
        await thaw()
        await eventually(lambda: _answers(http), "an answer")
        await rig.rest(running)

    assert told.is_whole
    assert told.text == counted(WORDS)
    rig.assert_unharmed()


async def test_a_full_redis_lets_what_runs_come_to_its_end(rig: Rig) -> None:
    async with rig.http() as http:
        told, running = await _counting(http, 60)
        cure = await _full(rig)
        await rig.rest(running)
        await cure()

    assert told.text == counted(60)
    assert told.is_whole


async def test_a_client_who_leaves_while_redis_is_full_is_seen_to(rig: Rig) -> None:
    async with rig.http() as http:
        _, running = await _counting(http, 5000)
        cure = await _full(rig)
        running.cancel()
        await eventually(lambda: rig.calls[-1].ended, "the end of the call")
        await cure()

    assert rig.calls[-1].outcome == "client_left"


async def test_a_cancellation_reaches_a_redis_that_has_forgotten_its_scripts(
    rig: Rig,
) -> None:
    async with rig.http() as http:
        _, running = await _counting(http, 5000)
        await _command(rig.redis, "SCRIPT", "FLUSH")
        running.cancel()
        await eventually(lambda: rig.calls[-1].ended, "the end of the call")

    assert rig.calls[-1].outcome == "client_left"


async def test_a_job_whose_end_redis_has_lost_is_ended_and_not_run_again(rig: Rig) -> None:
    """As when a replica takes over that had not yet heard of it."""
    redis: Any = rig.redis
    async with rig.http() as http:
        known = {key async for key in redis.scan_iter(keys.job("*"))}
        assert (await ask(http, "Count", "3")).is_whole
    (job,) = {key async for key in redis.scan_iter(keys.job("*"))} - known
    calls = len(rig.calls)
    (worker,) = await redis.zrange(keys.workers, 0, -1)
    await redis.hset(job, mapping={"state": "running", "owner": worker})
    await redis.sadd(keys.owned(worker.decode()), job.decode().partition("{")[2][:-1])

    async def ended() -> bool:
        return bool(await redis.hget(job, "state") == b"done")

    await eventually(ended, "the end of the job")
    assert len(rig.calls) == calls


async def test_an_answer_that_redis_will_never_take_ends_alone(rig: Rig) -> None:
    redis: Any = rig.redis
    async with rig.http() as http:
        known = {key async for key in redis.scan_iter(keys.log("*"))}
        _, spoilt = await _counting(http, 5000)
        (log,) = {key async for key in redis.scan_iter(keys.log("*"))} - known
        call = rig.calls[-1]
        good, other = await _counting(http, 100)
        pipe: Any = redis.pipeline(transaction=True)
        pipe.delete(log)
        pipe.set(log, "no stream")
        await pipe.execute()
        await eventually(lambda: call.ended, "the end of the call")
        await rig.rest(other)
        spoilt.cancel()
        await redis.delete(log)

    assert call.outcome == "client_left"
    assert good.text == counted(100)
    assert good.is_whole
