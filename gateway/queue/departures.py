"""Readers that have left a job, kept until Redis knows: a job without readers is cancelled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from contract.calls.gateway import Cancel, Resumable
from gateway.queue.server import Server
from store.faults import RedisFault

_log = logging.getLogger("gateway.queue")

UNWANTED_LIFE = 3600.0
"""Seconds for which the gateway tries to cancel a job, should Redis be away for that long."""

PAUSE = 0.5
"""Seconds between two tries."""

PAGE = 200
"""Departures that are sent at a time."""

MAX_DEPARTURES = 10_000
"""Departures that may wait to be sent. With so many nothing new is queued, as each request that
fails would leave one more."""


@dataclass(frozen=True)
class Departure:
    """A reader that has left a job. If it was the last, the job is not wanted any longer."""

    job: str
    resumable: Resumable | None
    at_once: bool


class Departures:
    """Sends all departures to Redis, in one task that runs while there are any."""

    def __init__(
        self,
        server: Server,
        gateway: str,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._server = server
        self._gateway = gateway
        self._spawn = spawn
        self._waiting: dict[Departure, float] = {}
        """Each until when, on the monotonic clock, it is worth trying."""
        self._under_way = 0
        self._is_due = False
        """Whether a task is about to send what waits."""

    def __len__(self) -> int:
        return len(self._waiting) + self._under_way

    @property
    def are_too_many(self) -> bool:
        """Whether nothing new may be sent to Redis."""
        return len(self) >= MAX_DEPARTURES

    def cancel(self, job: str) -> None:
        """Spend no point on an answer that nobody can read."""
        self.leave(job, None, at_once=True)

    def leave(self, job: str, resumable: Resumable | None, *, at_once: bool) -> None:
        """Spend no point on an answer that a reader has left, unless there are others.

        A job that may be resumed goes on for its grace first, if not `at_once`.
        """
        departure = Departure(job, resumable, at_once)
        self._waiting[departure] = time.monotonic() + UNWANTED_LIFE
        if not self._is_due:
            self._is_due = True
            self._spawn(self._tell_all())

    async def _tell_all(self) -> None:
        # What comes while a page is under way has a task of its own: a Redis that was frozen
        # must find each departure right behind the request that it ends when it goes on.
        while page := self._next_page():
            self._is_due = False
            try:
                await self._tell(page)
            except RedisFault as fault:
                self._put_back(page)
                _log.warning("cannot cancel %d jobs yet: %r", len(self), fault)
                if self._is_due:
                    return
                # One task tries again for all that requests leave which fail while Redis is gone.
                self._is_due = True
                await asyncio.sleep(PAUSE)
            except BaseException:
                self._put_back(page)
                raise
            else:
                self._under_way -= len(page)
        self._is_due = False

    def _next_page(self) -> dict[Departure, float]:
        page = dict(islice(self._waiting.items(), PAGE))
        for departure in page:
            del self._waiting[departure]
        self._under_way += len(page)
        return page

    def _put_back(self, page: dict[Departure, float]) -> None:
        self._under_way -= len(page)
        now = time.monotonic()
        late = {departure: until for departure, until in page.items() if until > now}
        self._waiting = late | self._waiting

    async def _tell(self, departures: Iterable[Departure]) -> None:
        await asyncio.gather(*(self._server.run(self._call_of(each)) for each in departures))

    def _call_of(self, departure: Departure) -> Cancel:
        return Cancel(
            job=departure.job,
            gateway=self._gateway,
            resumable=departure.resumable,
            at_once=departure.at_once,
        )
