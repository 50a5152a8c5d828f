"""Keys that may not use every model: nobody waits for them in vain, and nobody pays for others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from contract.messages import FailureKind
from simulated_poe import SimulatedPoe
from tests.support.deployment import RedisServer, eventually
from tests.support.worker_alone import Asking, failure, said, token, tokens_of, working
from worker.service import Service

NEVER_FIT = float("inf")


@pytest.fixture
async def poe() -> AsyncIterator[SimulatedPoe]:
    async with SimulatedPoe() as poe:
        yield poe


@pytest.fixture
def asking(redis: Redis) -> Asking:
    return Asking(redis)


async def _scripts_run(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def test_two_workers_refuse_what_no_key_may_use_without_passing_it_to_and_fro(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, redis: Redis
) -> None:
    # Given two workers, each with a key, and a model that neither key may use
    tokens = [token("sim-0"), token("sim-1")]
    async with AsyncExitStack() as stack:
        workers: list[Service] = [
            await stack.enter_async_context(
                working(redis_server.url, poe.url, *tokens, name=f"w{n}")
            )
            for n in range(2)
        ]
        await eventually(
            lambda: [len(w.pool.foreign()) for w in workers] == [1, 1], "a key for each"
        )

        # When it is asked for again and again
        before = await _scripts_run(redis)
        refused = [
            failure(await asking.answer(await asking.ask("Fail-403", wait=5.0))) for _ in range(6)
        ]
        ran = await _scripts_run(redis) - before

    # Then each is refused at once, by a call or two
    assert {each.kind for each in refused} == {FailureKind.MODEL_NOT_ALLOWED}
    assert len(poe.record.calls) <= 2 + 5
    assert ran < 300


async def test_a_key_that_may_use_a_model_is_shared_and_nothing_else_waits_for_it(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    # Given two keys, of which one may not use Count
    unfit, fit = token("sim-unfit", max_in_flight=1), token("sim-fit", max_in_flight=1)
    async with working(redis_server.url, poe.url, unfit, fit) as worker:
        await asking.answer(await asking.ask("Echo"))
        worker.pool.mark_unfit(unfit.id, "Count", NEVER_FIT)

        # When one client asks for Count 30 times, then another, and for something else
        flood = [await asking.ask("Count", "count to 10 every 10ms") for _ in range(30)]
        await asking.begun(flood[0])
        other = await asking.ask("Count", "count to 10 every 10ms", client="bob")
        echo = await asking.ask("Echo", "of the same client")
        order: list[str] = []

        async def note(job: str) -> None:
            assert said(events := await asking.answer(job))
            order.append(job)
            if job not in (echo,):
                assert tokens_of(events) == ["sim-fit"]

        await asyncio.gather(*(note(job) for job in [*flood, other, echo]))

    # Then the other client has its turn, and what any key can serve does not wait
    assert order.index(other) <= 4
    assert order.index(echo) <= 4
    assert [job for job in order if job in flood] == flood
