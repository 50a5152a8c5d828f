"""SIGTERM to any process while answers are under way."""

from __future__ import annotations

import asyncio
import re
import signal
from collections import Counter
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from runtime.signals import ECHO
from tests.support.clients import Told, ask, counted
from tests.support.deployment import Child, Deployment, eventually
from tests.support.keys import keys

STREAMS = 200
TOKENS = ",".join(f"sim-{n}" for n in range(20))
NO_LIMITS = "coolDown = 0\nrateLimit = 1000\n"


async def _begun(told: list[Told]) -> None:
    async with asyncio.timeout(40):
        await asyncio.gather(*(one.begun.wait() for one in told))


def _ask_many(group: asyncio.TaskGroup, http: httpx.AsyncClient, text: str) -> list[Told]:
    told = [Told() for _ in range(STREAMS)]
    for one in told:
        group.create_task(ask(http, "Count", text, into=one))
    return told


def _assert_whole(told: list[Told], last: int) -> None:
    assert Counter((one.is_whole, one.text) for one in told) == {(True, counted(last)): len(told)}


async def _stopped(child: Child) -> int:
    async with asyncio.timeout(40):
        return await child.process.wait()


async def _leases(redis: Redis) -> Counter[str]:
    """How many leases each worker holds."""
    owners: Counter[str] = Counter()
    async for key in redis.scan_iter(keys.lease("*")):
        lease: Any = redis.hmget(key, ["owner", "expires"])
        owner, expires = await lease
        if int(expires):
            owners[owner.decode()] += 1
    return owners


def _name(worker: Child) -> str:
    found = re.search(r'"worker":"([^"]+)"', worker.output())
    return found[1] if found else ""


@pytest.mark.timeout(120)
async def test_two_hundred_streams_do_not_notice_that_their_processes_are_told_to_stop(
    deployment: Deployment, redis: Redis
) -> None:
    poe = await deployment.start_poe()
    workers = [await deployment.start_worker(config=NO_LIMITS, tokens=TOKENS) for _ in range(2)]
    gateway, other = [await deployment.start_gateway() for _ in range(2)]
    stopping, staying = workers

    async def shared_out() -> bool:
        return await _leases(redis) == {_name(worker): 10 for worker in workers}

    async def handed_over() -> bool:
        return await _leases(redis) == {_name(staying): 20}

    await eventually(shared_out, "an even share for each")
    async with gateway.http(limits=httpx.Limits(max_connections=None)) as http:
        async with asyncio.TaskGroup() as group:
            told = _ask_many(group, http, "20 every 10s")
            await _begun(told)

            stopping.send(signal.SIGTERM)
            gateway.child.send(signal.SIGTERM)
            for child in (stopping, gateway.child):
                await eventually(lambda child=child: "draining" in child.output(), "the drain")
            under_way = sum(not one.done for one in told)
            await eventually(handed_over, "all leases with the one that stays")
            poe.hurry.set()
            later = await ask(http, "Count", "3", at=other.url)
        other.child.send(signal.SIGTERM)
        statuses = [await _stopped(child) for child in (stopping, gateway.child, other.child)]

    assert statuses == [0, 0, 0]
    assert under_way
    _assert_whole(told, 20)
    assert later.text == counted(3)
    assert Counter(call.outcome for call in poe.record.calls) == {"answered": STREAMS + 1}
    assert await redis.zrange(keys.workers, 0, -1) == [_name(staying).encode()]
    assert await redis.pubsub_channels(keys.events("*")) == []
    assert "Traceback" not in stopping.output() + gateway.child.output()


@pytest.mark.parametrize(
    "told_twice",
    [pytest.param(False, id="end of its grace"), pytest.param(True, id="second signal")],
)
async def test_a_worker_that_must_stop_now_says_so_and_leaves_the_rest_to_others(
    deployment: Deployment, redis: Redis, told_twice: bool
) -> None:
    poe = await deployment.start_poe()
    grace = 100 if told_twice else 1
    stopping = await deployment.start_worker(config=f"coolDown = 0\ndrainTimeout = {grace}\n")
    gateway = await deployment.start_gateway(config="statusHold = 0\n")
    async with gateway.http() as http:
        begun = [Told(), Told()]
        asked = [asyncio.create_task(ask(http, "Count", "900 every 20ms", into=begun[0]))]
        asked += [
            asyncio.create_task(ask(http, "Count", "901 every 20ms", stream=False, into=begun[1])),
            asyncio.create_task(ask(http, "Silent", "wait 60")),
        ]
        await eventually(lambda: len(poe.record.calls) == 3, "the calls")
        await eventually(lambda: _with_output(redis, 2), "the first words of two")
        await deployment.start_worker(config="coolDown = 0\n")

        stopping.send(signal.SIGTERM)
        await eventually(lambda: "draining" in stopping.output(), "the drain")
        if told_twice:
            # Sooner, it would be taken for an echo of the first.
            await asyncio.sleep(ECHO)
            stopping.send(signal.SIGTERM)
        status = await _stopped(stopping)
        await eventually(lambda: len(poe.record.calls) == 4, "the call of another worker")
        poe.hurry.set()
        streamed, whole, silent = await asyncio.gather(*asked)

    assert status == 0
    assert (streamed.status, streamed.code) == (200, "interrupted")
    assert (whole.status, whole.code) == (502, "interrupted")
    assert whole.headers["x-should-retry"] == "false"
    assert counted(900).startswith(streamed.text)
    assert (silent.is_whole, silent.text) == (True, "done waiting")
    assert len(poe.record.calls) == 4


async def _with_output(redis: Redis, jobs: int) -> bool:
    fields: Any = [redis.hget(key, "begun") async for key in redis.scan_iter(keys.job("*"))]
    return [await field for field in fields].count(b"1") == jobs
