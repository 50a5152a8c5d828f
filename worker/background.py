"""Calls to Redis that nobody waits for, repeated until they work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

from store.faults import RedisFault
from worker.policy.backoff import pauses

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before a call is repeated."""


class Background:
    """The calls under way. One that has not worked after `patience` seconds is given up."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, call: Callable[[], Coroutine[None, None, object]]) -> None:
        """Make this call, and repeat it while Redis fails."""
        task = asyncio.create_task(self._until_done(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self, seconds: float) -> None:
        """Return when all calls have ended, or after `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _until_done(self, call: Callable[[], Coroutine[None, None, object]]) -> None:
        give_up = time.monotonic() + self._patience
        backoff = pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                await call()
            except RedisFault:
                if time.monotonic() > give_up:
                    return
                await asyncio.sleep(next(backoff))
            else:
                return
