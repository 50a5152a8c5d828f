"""What attachments cost: `python -m bench.attachments`.

`JOBS` requests with a picture of 20 MiB each wait in the queue of one gateway, first with the same
picture, then with different ones. Then a conversation with such a picture goes through a gateway
and a worker, turn after turn. Prints the memory of Redis and of the gateway, and CPU time.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from simulated_poe import SimulatedPoe
from tests.support.deployment import Deployment, eventually, running_redis
from tests.support.gateway_alone import CHAT, Rig, rig

JOBS = 32
TURNS = 5
AT_ONCE = 2
MIB = 1024 * 1024
_ROOM = "maxStored = 4096\nmaxStoredTotal = 4096\n"
_TICKS = os.sysconf("SC_CLK_TCK")


def _body(picture: bytes, turns: int = 1) -> bytes:
    url = f"data:image/png;base64,{b64encode(picture).decode()}"
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    ]
    for number in range(turns - 1):
        messages += [
            {"role": "assistant", "content": "A cat."},
            {"role": "user", "content": f"{number}?"},
        ]
    return json.dumps({"model": "Echo", "messages": messages}).encode()


def _family(pid: int) -> list[int]:
    found = [pid]
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                found += _family(int(child))
    return found


def _cpu(pid: int) -> float:
    """The seconds of CPU time of a process and of all below it."""
    total = 0
    for each in _family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _memory(pid: int) -> int:
    """The resident bytes of a process and of all below it."""
    total = 0
    for each in _family(pid):
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{each}/status").read_text()
            total += int(status.split("VmRSS:")[1].split()[0]) * 1024
    return total


async def _cpu_of_redis(redis: Any) -> float:
    cpu = await redis.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


async def _waiting(home: Rig) -> int:
    queued: Any = home.redis.hget("p2g:totals", "waiting")
    return int(await queued or 0)


async def measure_queue(*, same: bool) -> str:
    """Return a row of the table: what `JOBS` requests that wait hold."""
    with tempfile.TemporaryDirectory() as directory:
        async with rig(Path(directory), _ROOM) as home:
            pid = home.gateway.child.process.pid
            picture, before = os.urandom(20 * MIB), (_cpu(pid), await _cpu_of_redis(home.redis))
            asked = []
            async with home.gateway.http() as http:
                for number in range(JOBS):
                    body = _body(picture if same else os.urandom(20 * MIB))
                    asked.append(asyncio.create_task(_post(http, body)))
                    del body
                    if number % AT_ONCE == AT_ONCE - 1:
                        await eventually(lambda n=number: _are_waiting(home, n + 1), "the queue")  # type: ignore[misc]
                used: Any = await home.redis.info("memory")
                gateway, redis = _cpu(pid) - before[0], await _cpu_of_redis(home.redis) - before[1]
                row = (
                    f"| {JOBS} jobs, {'the same picture' if same else 'different pictures'}"
                    f" | {used['used_memory'] // MIB} MiB | {_memory(pid) // MIB} MiB"
                    f" | {gateway:.1f} s | – | {redis:.1f} s |"
                )
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
    return row


async def _are_waiting(home: Rig, jobs: int) -> bool:
    return await _waiting(home) >= jobs


async def _post(http: httpx.AsyncClient, body: bytes) -> httpx.Response:
    """Send until it is taken: a busy machine may take longer than a gateway waits for Redis."""
    while True:
        answer = await http.post(CHAT, content=body, timeout=600)
        if answer.status_code != 503:
            return answer


async def measure_conversation(protocol: str) -> str:
    """Return a row of the table: what `TURNS` turns with one picture take."""
    with tempfile.TemporaryDirectory() as directory:
        async with running_redis() as server, SimulatedPoe() as poe:
            deployment = Deployment(Path(directory), server)
            deployment.poe = poe
            worker = await deployment.start_worker(
                config=f'[models.echo]\nprotocol = "{protocol}"\n', poe_url=poe.url
            )
            gateway = await deployment.start_gateway(config=_ROOM, ready=False)
            pids, picture = (gateway.child.process.pid, worker.process.pid), os.urandom(20 * MIB)
            async with (
                Redis.from_url(server.url, protocol=2) as redis,
                gateway.http() as http,
            ):
                before = (*map(_cpu, pids), await _cpu_of_redis(redis))
                for turn in range(TURNS):
                    answer = await _post(http, _body(picture, turn + 1))
                    assert answer.status_code == 200, answer.text
                after = (*map(_cpu, pids), await _cpu_of_redis(redis))
                used: Any = await redis.info("memory")
            spent = [f"{b - a:.1f} s" for a, b in zip(before, after, strict=True)]
            row = (
                f"| {TURNS} turns, `{protocol}` | {used['used_memory_peak'] // MIB} MiB at most"
                f" | {_memory(pids[0]) // MIB} MiB | {' | '.join(spent)} |"
            )
            await deployment.close()
    return row


async def main() -> None:
    print("| case | memory of Redis | of the gateway | CPU of gateway | of worker | of Redis |")
    print("|---|---|---|---|---|---|")
    for protocol in ("bot", "openai"):
        print(await measure_conversation(protocol), flush=True)
    for same in (True, False):
        print(await measure_queue(same=same), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
