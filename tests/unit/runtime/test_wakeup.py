"""An event that wakes one task."""

from __future__ import annotations

import asyncio

import pytest

from runtime.wakeup import Wakeup


async def test_a_task_that_waits_is_woken_though_the_event_is_cleared_at_once() -> None:
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)

    wakeup.set()
    wakeup.clear()
    await waiting

    assert not wakeup.is_set()


async def test_nobody_waits_for_what_is_set() -> None:
    wakeup = Wakeup()
    wakeup.set()

    await wakeup.wait()

    assert wakeup.is_set()


async def test_whoever_gave_up_waiting_leaves_the_place_to_the_next() -> None:
    wakeup = Wakeup()
    gave_up = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)
    gave_up.cancel()
    await asyncio.wait([gave_up])

    waiting = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)
    wakeup.set()
    await waiting


async def test_a_second_task_that_waits_is_refused_instead_of_forgotten() -> None:
    wakeup = Wakeup()
    first = asyncio.create_task(wakeup.wait())
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="another task waits"):
        await wakeup.wait()

    wakeup.set()
    await first
