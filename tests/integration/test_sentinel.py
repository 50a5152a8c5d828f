"""Redis with replicas and three sentinels: both sides follow the primary wherever it goes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from gateway.queue.subscriber import Subscriber
from runtime import tasks
from store.client import connect
from store.faults import RedisFault
from tests.support.clients import Told, ask, counted
from tests.support.deployment import PATIENCE, Deployment, Gateway, eventually
from tests.support.keys import keys
from tests.support.sentinel import SERVICE, Watched, watched_redis

WORDS = 150


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    async with watched_redis() as running:
        yield running


@pytest.fixture
async def rig(tmp_path: Path, watched: Watched) -> AsyncIterator[tuple[Deployment, Gateway]]:
    deployment = Deployment(tmp_path, cast(Any, watched))
    try:
        await deployment.start_poe()
        config = "coolDown = 0\nrateLimit = 500\nmaxInFlight = 50\n"
        await deployment.start_worker(config=config)
        gateway = await deployment.start_gateway(config="statusHold = 0\n")
        yield deployment, gateway
    finally:
        await deployment.close()


async def _ends_well(streams: list[asyncio.Task[Told]]) -> int:
    """Each stream is whole, or has ended in one error; return how many are whole."""
    told = await asyncio.gather(*streams)
    for one in told:
        assert counted(WORDS).startswith(one.text)
        assert one.text == counted(WORDS) if one.is_whole else one.code
    return sum(one.is_whole for one in told)


async def _streams(http: httpx.AsyncClient) -> list[asyncio.Task[Told]]:
    told = [Told() for _ in range(8)]
    streams = [
        asyncio.create_task(ask(http, "Count", f"{WORDS} every 40ms", into=each)) for each in told
    ]
    await asyncio.gather(*(each.begun.wait() for each in told))
    return streams


async def _works_again(rig: tuple[Deployment, Gateway]) -> None:
    deployment, gateway = rig
    async with gateway.http() as http:

        async def answers() -> bool:
            told = await ask(http, "Count", "3", stream=False)
            assert told.status in (200, 503)
            return told.text == counted(3)

        await eventually(answers, "an answer")
    for child in deployment.children:
        assert child.process.returncode is None
        assert "Traceback" not in child.output()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_when_the_primary_is_gone_the_replica_takes_over_under_running_streams(
    rig: tuple[Deployment, Gateway], watched: Watched, signum: int
) -> None:
    _, gateway = rig
    async with gateway.http() as http:
        streams = await _streams(http)
        primary = await watched.primary()
        watched.servers[primary].send(signum)
        await watched.moved_from(primary)
        await _works_again(rig)
        whole = await _ends_well(streams)

    assert whole
    await eventually(lambda: gateway.answers("/readyz"), "readiness")


async def test_a_primary_that_steps_down_alive_is_followed_to_the_next(
    rig: tuple[Deployment, Gateway], watched: Watched
) -> None:
    _, gateway = rig
    async with gateway.http() as http:
        streams = await _streams(http)
        primary = await watched.primary()
        assert await watched.ask(next(iter(watched.sentinels)), "SENTINEL", "FAILOVER", SERVICE)
        await watched.moved_from(primary)
        await _works_again(rig)
        whole = await _ends_well(streams)

    assert whole


async def test_the_subscription_moves_to_the_new_primary(
    rig: tuple[Deployment, Gateway], watched: Watched
) -> None:
    primary = await watched.primary()
    await watched.ask(next(iter(watched.sentinels)), "SENTINEL", "FAILOVER", SERVICE)
    await watched.moved_from(primary)
    redis = connect(watched.url, connections=2, timeout=2)

    async def subscribed() -> bool:
        try:
            return bool(await redis.pubsub_channels(keys.events("*")))
        except RedisFault:
            return False

    await eventually(subscribed, "the subscription")
    await redis.aclose()


async def test_a_sentinel_that_is_frozen_keeps_nobody_from_the_primary(watched: Watched) -> None:
    next(iter(watched.sentinels.values())).send(signal.SIGSTOP)
    redis = connect(watched.url, connections=2, timeout=2)

    assert await redis.ping()
    await redis.aclose()


async def test_connections_to_a_server_that_has_become_a_replica_are_not_used_again(
    watched: Watched,
) -> None:
    redis = connect(watched.url, connections=4, timeout=2)
    await asyncio.gather(*(redis.blpop(["none"], 0.05) for _ in range(4)))
    primary = await watched.primary()
    await watched.ask(next(iter(watched.sentinels)), "SENTINEL", "FAILOVER", SERVICE)
    await watched.moved_from(primary)

    async def written() -> bool:
        try:
            return bool(await redis.set("key", "value"))
        except RedisFault:
            return False

    await eventually(written, "a write")
    assert await redis.get("key") == b"value"
    await redis.aclose()


async def test_a_subscription_leaves_a_server_that_is_alive_but_the_primary_no_longer(
    watched: Watched,
) -> None:
    subscribed = asyncio.Event()
    subscriber = Subscriber(watched.url, "channel", lambda _: None, subscribed.set)
    running = asyncio.create_task(subscriber.run())
    await subscribed.wait()
    subscribed.clear()
    primary = await watched.primary()
    other = next(port for port in watched.servers if port != primary)
    # As if they had moved on while the old primary was out of their reach: nobody cuts us off.
    for sentinel in watched.sentinels:
        await watched.ask(sentinel, "SENTINEL", "REMOVE", SERVICE)
    for sentinel in watched.sentinels:
        await watched.ask(sentinel, "SENTINEL", "MONITOR", SERVICE, "127.0.0.1", str(other), "2")

    async with asyncio.timeout(PATIENCE):
        await subscribed.wait()

    await tasks.end([running])
