"""What the two scripts of the hot path cost Redis, as the deployment grows.

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
from tests.support.deployment import running_redis

CALLS = 2000
ROUNDS = 3


async def main() -> None:
    async with running_redis() as server:
        redis = Redis.from_url(server.url, protocol=2)
        print(f"{'':>10} {'tokens':>8} {'queued jobs':>12} {'µs per call':>12} {'ratio':>7}")
        await _table("acquire", redis, [(n, 0) for n in (10, 100, 1_000, 10_000)], _acquire)
        await _table("dispatch", redis, [(10, n) for n in (0, 100, 10_000, 100_000)], _dispatch)
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


async def _acquire(redis: Redis, tokens: int, _: int) -> float:
    await redis.flushall()
    acquire = redis.register_script(scripts.source("acquire"))
    for n in range(tokens):
        await redis.hset(f"p2g:lease:{n}", mapping={"owner": "w", "expires": 10**15, "fence": 1})
    # Full windows: the common state of a deployment that earns its keep.
    pipe = redis.pipeline(transaction=False)
    now = (await redis.time())[0] * 1000
    for n in range(tokens):
        pipe.zadd(f"p2g:uses:{n}", {f"old:{k}": now - 59_000 + 1000 * k for k in range(50)})
    await pipe.execute()
    await acquire(args=_acquire_args(0, "warm", "job"))
    before = await _cpu(redis)
    for call in range(CALLS):
        await acquire(args=_acquire_args(call % tokens, f"grant:{call}", f"job-{call}"))
    return (await _cpu(redis) - before) / CALLS


def _acquire_args(token: int, grant: str, job: str) -> list[str | int]:
    limits = [1000, 60_050, 0, 100_000, 10_500, 120_000]
    return [0, "w", token, 1, token, token, grant, *limits, job, 1]


async def _dispatch(redis: Redis, _: int, jobs: int) -> float:
    await redis.flushall()
    enqueue = redis.register_script(scripts.source("enqueue"))
    dispatch = redis.register_script(scripts.source("dispatch"))
    total, clients = jobs + CALLS, 50
    await enqueue(args=_enqueue_args(0, clients))
    for start in range(1, total, 5000):
        pipe = redis.pipeline(transaction=False)
        for n in range(start, min(start + 5000, total)):
            pipe.evalsha(enqueue.sha, 0, *_enqueue_args(n, clients))
        await pipe.execute()
    await dispatch(args=[0, "w", 1, 600_000, b""])
    before = await _cpu(redis)
    for _ in range(CALLS - 1):
        await dispatch(args=[0, "w", 1, 600_000, b""])
    return (await _cpu(redis) - before) / CALLS


def _enqueue_args(n: int, clients: int) -> list[str | int]:
    client, most = f"c{n % clients}", 10**9
    terms = [10**9, 1, most, most, 10**9, "", "", "", 1, 500, most, most]
    return [0, f"job{n}", client, "g", "x" * 500, *terms]


async def _cpu(redis: Redis) -> float:
    cpu = await redis.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6


if __name__ == "__main__":
    asyncio.run(main())
