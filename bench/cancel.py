"""Measures how soon Poe's connection closes after a client has left: `python -m bench.cancel`.

From the moment at which clients of a real gateway and worker close their connections, in the
middle of their answers, to that at which the simulated Poe sees its own closed.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import httpx

from simulated_poe import Settings, SimulatedPoe
from tests.support.deployment import Deployment, eventually, running_redis

CLIENTS = 100
LIMITS = "rateLimit = 10000\ncoolDown = 0\nmaxInFlight = 200"


async def leave(http: httpx.AsyncClient, number: int, left: dict[str, float]) -> None:
    body = {
        "model": "Count",
        "stream": True,
        "messages": [{"role": "user", "content": f"count to {10_000 + number} every 100ms"}],
    }
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if '"content":"1' in line:
                break
        left[str(10_000 + number)] = time.monotonic()


async def main() -> None:
    async with running_redis() as redis:
        with tempfile.TemporaryDirectory() as directory:
            deployment = Deployment(Path(directory), redis)
            poe: SimulatedPoe = await deployment.start_poe(Settings())
            await deployment.start_worker(config=LIMITS)
            gateway = await deployment.start_gateway()
            left: dict[str, float] = {}
            limits = httpx.Limits(max_connections=None)
            async with gateway.http(limits=limits) as http:
                await asyncio.gather(*[leave(http, number, left) for number in range(CLIENTS)])
            calls = list(poe.record.calls)
            await eventually(lambda: all(call.ended is not None for call in calls), "all ends")
            await deployment.close()
    last = max(left.values())
    ends = sorted(call.ended or 0.0 for call in calls)
    # Calls cannot be matched to clients: compare the n-th leaving with the n-th ending.
    waits = [end - gone for end, gone in zip(ends, sorted(left.values()), strict=True)]
    cuts = quantiles(waits, n=100)
    print(f"{len(calls)} clients left mid-stream; Poe's connection was closed after")
    print(f"  median {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms")
    print(f"  all closed {ends[-1] - last:.2f} s after the last client left")


if __name__ == "__main__":
    asyncio.run(main())
