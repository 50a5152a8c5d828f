"""Departures: what nobody wants is told to Redis at once, and again until it has heard."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import pytest

from contract.calls.gateway import Admission
from contract.messages import Job, Message
from gateway.queue.departures import MAX_DEPARTURES, Departure, Departures
from gateway.queue.jobs import Jobs
from gateway.queue.server import Server

JOB = Job("j", "ann", "Bot", (Message("user", "hi"),))
TERMS = Admission(60, 1, 1, 1, None, None, 1000, 1000)


class Cancelling(Departures):
    """Departures without a Redis: what it would be told is kept instead."""

    def __init__(self, *faults: Exception) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.cancelled: list[str] = []
        self._faults = list(faults)
        self.server = Server("redis://127.0.0.1:1")
        super().__init__(self.server, "g", self._run)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        return task

    async def _tell(self, departures: Iterable[Departure]) -> None:
        await asyncio.sleep(0)
        if self._faults:
            raise self._faults.pop()
        self.cancelled += [departure.job for departure in departures]

    async def settled(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_job_that_is_cancelled_twice_is_cancelled_by_one_task() -> None:
    departures = Cancelling()

    departures.cancel("a")
    departures.cancel("a")
    alone = len(departures.tasks)
    await departures.settled()

    assert alone == 1
    assert departures.cancelled == ["a"]


async def test_a_departure_waits_for_none_that_is_under_way() -> None:
    class Frozen(Cancelling):
        sent: list[str] = []  # noqa: RUF012
        thawed = asyncio.Event()

        async def _tell(self, departures: Iterable[Departure]) -> None:
            self.sent += [departure.job for departure in departures]
            await self.thawed.wait()

    departures = Frozen()
    departures.cancel("a")
    await asyncio.sleep(0)
    departures.cancel("b")
    await asyncio.sleep(0)

    assert departures.sent == ["a", "b"]
    assert len(departures) == 2
    departures.thawed.set()
    await departures.settled()
    assert not len(departures)


@pytest.mark.parametrize("fault", [ValueError("ours"), KeyError("ours")])
async def test_a_fault_of_our_own_does_not_end_all_cancelling(fault: Exception) -> None:
    departures = Cancelling(fault)
    departures.cancel("a")
    await departures.settled()

    departures.cancel("b")
    await departures.settled()

    assert departures.cancelled == ["a", "b"]


async def test_while_much_is_still_to_be_cancelled_nothing_new_is_sent() -> None:
    departures = Cancelling()
    for number in range(MAX_DEPARTURES):
        departures.cancel(str(number))

    with pytest.raises(ConnectionError, match="departures"):
        await Jobs(departures.server, "g", departures).submit(JOB, 1, TERMS)

    assert len(departures) == MAX_DEPARTURES
    await departures.settled()
    assert not len(departures)
