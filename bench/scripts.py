"""Measures the cost in Redis of the two scripts of the hot path, as a deployment grows.

    python -m bench.scripts

`dispatch` and `acquire` are one round trip each. Their cost is the CPU time of Redis (INFO cpu) for
each call, reading and replying included. What counts is the ratio to the smallest deployment: all
sizes are measured in turn, several times over, and the least of each counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from contract import scripts
from contract.calls.call import Word
from contract.calls.gateway import Admission, Enqueue
from contract.calls.tokens import Acquire
from contract.calls.worker import Dispatch
from contract.messages import Failed, FailureKind
from tests.support.deployment import running_redis
from tests.support.keys import keys

CALLS = 2000
ROUNDS = 3

_MOST = 10**9
_TERMS = Admission(10**6, 1, _MOST, _MOST, None, None, _MOST, _MOST)
_TOO_LATE = Failed(FailureKind.QUEUE_TIMEOUT, "too late")
_DISPATCH = [0, *Dispatch(worker="w", count=1, too_late=_TOO_LATE).arguments()]


async def main() -> None:
    async with running_redis() as server:
        redis = Redis.from_url(server.url, protocol=2)
        print(f"{'':>10} {'tokens':>8} {'queued jobs':>12} {'µs per call':>12} {'ratio':>7}")
        await _table("acquire", redis, [(n, 0) for n in (10, 100, 1_000, 10_000)], _measure_acquire)
        await _table(
            "dispatch", redis, [(10, n) for n in (0, 100, 10_000, 100_000)], _measure_dispatch
        )
        await redis.aclose()


async def _table(
    name: str,
    redis: Redis,
    sizes: list[tuple[int, int]],
    measure: Callable[[Redis, int, int], Awaitable[float]],
) -> None:
    rounds = [[await measure(redis, *size) for size in sizes] for _ in range(ROUNDS)]
    costs = [min(costs) for costs in zip(*rounds, strict=True)]
    for (tokens, jobs), cost in zip(sizes, costs, strict=True):
        print(f"{name:>10} {tokens:>8} {jobs:>12} {cost:>12.1f} {cost / costs[0]:>7.2f}")


async def _measure_acquire(redis: Redis, tokens: int, _: int) -> float:
    await redis.flushall()
    acquire = redis.register_script(scripts.source("acquire", keys.prefix))
    for n in range(tokens):
        await redis.hset(keys.lease(f"{n}"), mapping={"owner": "w", "expires": 10**15, "fence": 1})
    # Full windows: the normal state of a busy deployment.
    pipe = redis.pipeline(transaction=False)
    now = (await redis.time())[0] * 1000
    for n in range(tokens):
        pipe.zadd(keys.uses(f"{n}"), {f"old:{k}": now - 59_000 + 1000 * k for k in range(50)})
    await pipe.execute()
    await acquire(args=_acquire(0, "warm", "job"))
    before = await _cpu(redis)
    for call in range(CALLS):
        await acquire(args=_acquire(call % tokens, f"grant:{call}", f"job-{call}"))
    return (await _cpu(redis) - before) / CALLS


def _acquire(token: int, grant: str, job: str) -> list[Word]:
    call = Acquire(
        worker="w",
        batch=f"{token}",
        fence=1,
        token=f"{token}",
        account=f"{token}",
        grant=grant,
        rate_limit=1000,
        window=60.05,
        cool_down=0.0,
        max_in_flight=100_000,
        guard=10.5,
        job=job,
        epoch=1,
    )
    return [0, *call.arguments()]


async def _measure_dispatch(redis: Redis, _: int, jobs: int) -> float:
    await redis.flushall()
    enqueue = redis.register_script(scripts.source("enqueue", keys.prefix))
    dispatch = redis.register_script(scripts.source("dispatch", keys.prefix))
    total, clients = jobs + CALLS, 50
    await enqueue(args=_enqueue(0, clients))
    for start in range(1, total, 5000):
        pipe = redis.pipeline(transaction=False)
        for n in range(start, min(start + 5000, total)):
            pipe.evalsha(enqueue.sha, 0, *_enqueue(n, clients))
        await pipe.execute()
    await dispatch(args=_DISPATCH)
    before = await _cpu(redis)
    for _ in range(CALLS - 1):
        await dispatch(args=_DISPATCH)
    return (await _cpu(redis) - before) / CALLS


def _enqueue(n: int, clients: int) -> list[Word]:
    call = Enqueue(
        job=f"job{n}",
        client=f"c{n % clients}",
        gateway="g",
        payload=b"x" * 500,
        size=500,
        terms=_TERMS,
    )
    return [0, *call.arguments()]


async def _cpu(redis: Redis) -> float:
    cpu = await redis.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6


if __name__ == "__main__":
    asyncio.run(main())
