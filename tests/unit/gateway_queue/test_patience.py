"""How long the gateway waits for Redis."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from gateway.queue.server import within


async def test_a_call_in_time_returns_what_it_returns() -> None:
    async def call() -> str:
        return "reply"

    assert await within(1, call()) == "reply"


async def test_a_call_in_time_raises_what_it_raises() -> None:
    async def call() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await within(1, call())


async def test_a_call_that_will_not_be_cancelled_is_not_waited_for() -> None:
    cancelled, released = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        cancelled.set()
        await released.wait()
        raise ConnectionError("nobody hears of this")

    with pytest.raises(TimeoutError):
        await within(0, call())

    await cancelled.wait()
    released.set()
    await asyncio.sleep(0)


async def test_who_stops_waiting_stops_the_call() -> None:
    stopped = asyncio.Event()

    async def call() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    waiting = asyncio.create_task(within(60, call()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()

    await stopped.wait()
    assert waiting.cancelled() or waiting.cancelling()
