"""Kills processes while a thousand requests run: `python -m bench.chaos [requests] [seed]`.

A worker is killed every five seconds, a gateway every twenty, Redis once. Prints what the clients
saw, and exits with 1 if one of them lost a word, got one twice, or waits for an end; if Poe was
called more often than the kills explain; or if a process that lived through it all has grown.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.support.chaos import Outcome, Plan, chaos
from tests.support.deployment import Deployment, running_redis

MOST_GROWTH = 6.0
"""MiB a minute by which a process may appear to grow, since Python returns memory irregularly."""


async def main(requests: int, seed: int) -> int:
    plan = Plan(requests=requests, restart_redis_after=requests // 2, seed=seed)
    outcome = await _run(plan)
    growing = [memory for memory in outcome.memory if memory.slope > MOST_GROWTH]
    _print(plan, outcome)
    for sentence in outcome.wrong:
        print(f"WRONG: {sentence}")
    for memory in growing:
        print(f"WRONG: the {memory.name} grows by {memory.slope:.1f} MiB a minute")
    return int(bool(outcome.wrong or growing))


def _print(plan: Plan, outcome: Outcome) -> None:
    rows: dict[str, object] = {
        "requests": plan.requests,
        "seconds": round(outcome.seconds),
        "workers killed": outcome.worker_kills,
        "gateways killed": outcome.gateway_kills,
        "Redis killed": outcome.redis_kills,
        **{f"ended: {ending}": count for ending, count in outcome.endings.most_common()},
        "told to come again, and did": outcome.refused,
        "came back with their key": outcome.came_back,
        "jobs accepted": outcome.accepted,
        "jobs that killed workers had": outcome.in_flight,
        "calls that Poe has seen": outcome.calls,
        "answers with a word lost or doubled, or without one end": len(outcome.wrong),
    }
    for memory in outcome.memory:
        first, last = memory.looks[0][1], memory.looks[-1][1]
        rows[f"MiB of the {memory.name} that lived, from and to"] = (
            f"{first / 2**20:.0f} {last / 2**20:.0f} ({memory.slope:+.1f} a minute)"
        )
    for name, value in rows.items():
        print(f"{name:<56} {value}", flush=True)


async def _run(plan: Plan) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="p2g-chaos-") as directory:
        async with running_redis() as redis:
            deployment = Deployment(Path(directory), redis)
            try:
                return await chaos(deployment, plan)
            finally:
                await deployment.close()


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(asyncio.run(main(*(given + [1000, 1][len(given) :]))))
