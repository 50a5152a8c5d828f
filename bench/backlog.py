"""What a job costs while others wait: `python -m bench.backlog`.

So many jobs of 50 clients are queued before the worker starts. Told is what each of the first
`TAKEN` costs the worker and Redis, from the queue to the end of its answer. Nobody reads them, so
there is no gateway.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop
from redis.asyncio import Redis

from bench import processes, upstream
from bench.figures import Figures, Report, render
from bench.peers import LIMITS, write_tokens
from bench.upstream import Load
from contract import scripts
from contract.calls.gateway import Admission, Enqueue
from contract.codec import encode
from contract.messages import Job, Message
from tests.support.deployment import Deployment, running_redis
from tests.support.keys import keys

SIZES = (2_000, 20_000, 100_000)
TAKEN = 2_000
CLIENTS = 50
ROW = "a queued job, by queue"

_LOAD = Load(1)
_MOST = 10**9
_TERMS = Admission(10**4, 1, _MOST, _MOST, None, None, _MOST, _MOST)


async def measure(rounds: int, report: Report) -> None:
    """Measure all sizes in turn, so many times over."""
    found: dict[int, list[Figures]] = {waiting: [] for waiting in SIZES}
    for _ in range(rounds):
        for waiting in SIZES:
            found[waiting].append(await _cost(waiting))
    for waiting, figures in found.items():
        report.add(ROW, f"{waiting} queued", figures)


async def _cost(waiting: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="p2g-bench-") as directory:
        place = Path(directory)
        async with upstream.running(place, [_LOAD]) as url, running_redis() as server:
            redis = Redis.from_url(server.url, protocol=2)
            deployment = Deployment(place, server)
            try:
                enqueued = await _queue(redis, waiting)
                await _at_rest(redis)
                tokens = write_tokens(place, 200)
                worker = await deployment.start_worker(config=LIMITS, tokens=tokens, poe_url=url)
                await _taken(redis, 1)
                first = await _done(redis)
                before, begun = processes.cpu([worker.process.pid]), await _redis(redis)
                done = await _taken(redis, first + TAKEN // 2) - first
                spent = {
                    "worker": processes.cpu([worker.process.pid]) - before,
                    "Redis": await _redis(redis) - begun,
                }
            finally:
                await redis.aclose()
                await deployment.close()
    each = {f"{part} ms an answer": cpu / done * 1e3 for part, cpu in spent.items()}
    return {"CPU ms an answer": sum(each.values()), **each, "enqueue in Redis us": enqueued}


async def _queue(redis: Any, waiting: int) -> float:
    """Queue jobs, and return what each of the last of them cost Redis, in microseconds."""
    enqueue = redis.register_script(scripts.source("enqueue", keys.prefix))
    await enqueue(args=_enqueue(0))
    before = 0.0
    for start in range(1, waiting, 1_000):
        before = await _redis(redis)
        pipe = redis.pipeline(transaction=False)
        last = min(start + 1_000, waiting)
        for number in range(start, last):
            pipe.evalsha(enqueue.sha, 0, *_enqueue(number))
        await pipe.execute()
    return (await _redis(redis) - before) / (last - start) * 1e6


async def _at_rest(redis: Any) -> None:
    """Wait until Redis has rewritten its AOF, which grew by the jobs in a moment."""
    async with asyncio.timeout(120):
        while (await redis.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def _enqueue(number: int) -> list[Any]:
    client = f"client{number % CLIENTS}"
    job = Job(f"job{number}", client, _LOAD.model, (Message("user", "Say it."),))
    payload = encode(job)
    call = Enqueue(
        job=job.id,
        client=client,
        gateway="nobody",
        payload=payload,
        size=len(payload),
        terms=_TERMS,
    )
    return [0, *call.arguments()]


async def _taken(redis: Any, jobs: int) -> int:
    """Wait until so many jobs have been dispatched, and return how many have."""
    async with asyncio.timeout(120):
        while (done := await _done(redis)) < jobs:  # noqa: ASYNC110  # Redis does not tell
            await asyncio.sleep(0.02)
    return done


async def _done(redis: Any) -> int:
    return int(await redis.hget(keys.totals, "dispatched") or 0)


async def _redis(redis: Any) -> float:
    cpu = await redis.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def main() -> None:
    report = Report()
    began = time.monotonic()
    uvloop.run(measure(1, report))
    print(render(report.rows), f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
