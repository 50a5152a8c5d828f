"""Somebody sets Redis's wall clock while workers work: no limit notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from redis.asyncio import Redis

from simulated_poe import SimulatedPoe
from tests.support.deployment import RedisServer, eventually
from tests.support.keys import keys
from tests.support.worker_alone import Asking, token, working

FAKETIME = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")
"""What makes a server believe in another time; of Debian's package `libfaketime`."""

COOL_DOWN = 0.3

SetClock = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def _server(directory: Path, *, faked: bool) -> AsyncIterator[tuple[Redis, str, SetClock]]:
    """A Redis, its URL, and what sets its clock."""
    server, file = RedisServer(directory), directory / "time"
    file.write_text("+0")
    fake = {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    # Redis with its own allocator does not start under libfaketime.
    await server.start(env=fake if faked else None, embedded=faked)
    redis = Redis.from_url(server.url, protocol=2)

    async def set_clock(seconds: float) -> None:
        if faked:
            file.write_text(f"{seconds:+}")
        else:
            # To the scripts, which add `offset` to TIME, this is what a step of TIME is.
            await redis.hincrby(keys.clock, "offset", round(seconds * 1000))

    try:
        yield redis, server.url, set_clock
    finally:
        await redis.aclose()
        assert server.child is not None
        server.child.process.kill()
        await server.child.process.wait()


@pytest.mark.parametrize("seconds", [-600.0, 121.0], ids=["back", "ahead"])
@pytest.mark.parametrize(
    "faked",
    [
        pytest.param(False, id="as the scripts see it"),
        pytest.param(
            True,
            id="for the whole server",
            marks=pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed"),
        ),
    ],
)
async def test_a_step_of_the_clock_neither_stalls_an_account_nor_frees_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seconds: float, faked: bool
) -> None:
    caplog.set_level(logging.WARNING)
    account = token("sim-a", cool_down=COOL_DOWN, rate_limit=1000, max_in_flight=10)
    async with (
        _server(tmp_path, faked=faked) as (redis, url, set_clock),
        SimulatedPoe() as poe,
        working(url, poe.url, account, name="w0"),
        working(url, poe.url, account, name="w1"),
    ):
        asking = Asking(redis)
        await asking.answer(await asking.ask("Echo"))
        # Both workers know the clock once they have beaten twice.
        await eventually(lambda: redis.hget(keys.clock, "last"), "a clock that is known")

        await set_clock(seconds)
        jobs = [await asking.ask("Echo") for _ in range(8)]
        answers = await asyncio.gather(*(asking.answer(job) for job in jobs))
        steps = int(await redis.hget(keys.clock, "steps") or 0)

    starts = sorted(call.started for call in poe.record.calls)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(answers) == 8
    assert min(gaps) >= COOL_DOWN - 0.05
    assert max(gaps) < 30
    assert steps == 1
    noticed = [r.getMessage() for r in caplog.records if "Redis's clock was set" in r.getMessage()]
    assert len(noticed) == 1
    assert ("ahead by" in noticed[0]) == (seconds > 0)
