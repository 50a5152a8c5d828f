"""A worker's start, and what it costs while it is idle: `python -m bench.startup`.

A job is queued before the worker is started, by the command and with a file that lists so many
tokens. Told are the seconds until Poe has the job's call, and the CPU time that all of it took;
then the share of a core that the worker uses while nothing happens.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from bench.figures import Report, render
from bench.processes import cpu
from tests.support.deployment import Deployment, eventually, running_redis
from tests.support.worker_alone import Asking

SIZES = (10, 10_000)
IDLE = 70.0
"""Seconds for which the idle worker is measured: what it does once a minute is in them."""
SETTLING = 5.0
"""Seconds to wait after the first job before measuring."""


@dataclass(frozen=True)
class Outcome:
    """One start. Times are in seconds."""

    elapsed: float
    cpu: float
    idle: float
    """The share of a core that an idle worker uses."""


async def measure(report: Report) -> None:
    """Measure each size once."""
    for tokens in SIZES:
        outcome = await _start(tokens)
        figures = {
            "to the first call s": outcome.elapsed,
            "CPU s": outcome.cpu,
            "idle %": 100 * outcome.idle,
        }
        report.add("start, by tokens", f"{tokens} tokens", [figures])


async def _start(tokens: int) -> Outcome:
    listed = "".join(f'  "sim-{n:06d}",\n' for n in range(tokens))
    with tempfile.TemporaryDirectory(prefix="p2g-startup-") as directory:
        async with running_redis() as server:
            deployment = Deployment(Path(directory), server)
            redis = Redis.from_url(server.url, protocol=2)
            try:
                poe = await deployment.start_poe()
                await Asking(redis).ask("Echo")
                began = time.monotonic()
                worker = await deployment.start_worker(config=f"tokens = [\n{listed}]\n", tokens="")
                pid = worker.process.pid
                await eventually(lambda: bool(poe.record.calls), "the first call")
                elapsed, spent = time.monotonic() - began, cpu([pid])
                await asyncio.sleep(SETTLING)
                before = cpu([pid])
                await asyncio.sleep(IDLE)
                return Outcome(elapsed, spent, (cpu([pid]) - before) / IDLE)
            finally:
                await redis.aclose()
                await deployment.close()


if __name__ == "__main__":
    told = Report()
    asyncio.run(measure(told))
    print(render(told.rows))
