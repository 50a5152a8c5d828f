"""The hub's canceller: one task for all that nobody wants, as long as there is any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from contract.calls.gateway import Admission
from contract.messages import Job, Message
from gateway.hub import MAX_DEPARTURES, Departure, Hub

JOB = Job("j", "ann", "Bot", (Message("user", "hi"),))
TERMS = Admission(60, 1, 1, 1, None, None, 1000, 1000)


class Canceller(Hub):
    """A hub without a Redis: what it would cancel there is kept instead."""

    def __init__(self, *faults: Exception) -> None:
        super().__init__("redis://127.0.0.1:1", "g")
        self.cancelled: list[str] = []
        self._faults = list(faults)

    async def _tell(self, departures: Iterable[Departure]) -> None:
        await asyncio.sleep(0)
        if self._faults:
            raise self._faults.pop()
        self.cancelled += [departure.job for departure in departures]

    async def settled(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_job_that_is_cancelled_twice_is_cancelled_by_one_task() -> None:
    hub = Canceller()

    hub.cancel("a")
    hub.cancel("a")
    alone = len(hub._tasks)
    await hub.settled()

    assert alone == 1
    assert hub.cancelled == ["a"]


@pytest.mark.parametrize("fault", [ValueError("ours"), KeyError("ours")])
async def test_a_fault_of_our_own_does_not_end_all_cancelling(fault: Exception) -> None:
    hub = Canceller(fault)
    hub.cancel("a")
    await hub.settled()

    hub.cancel("b")
    await hub.settled()

    assert hub.cancelled == ["a", "b"]


async def test_while_much_is_still_to_be_cancelled_nothing_new_is_sent() -> None:
    hub = Canceller()
    for number in range(MAX_DEPARTURES):
        hub.cancel(str(number))

    with pytest.raises(ConnectionError, match="departures"):
        await hub.submit(JOB, 1, TERMS)

    assert len(hub._departures) == MAX_DEPARTURES
    await hub.settled()
    assert not hub._departures
