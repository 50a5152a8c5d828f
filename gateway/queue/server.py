"""The gateway's connections to its Redis, and for how long each command may take."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from contract.calls.call import Call
from contract.calls.clock import CheckClock, ClockReading
from contract.keys import DEFAULT_KEYS, Keys
from store import clock
from store.client import connect
from store.faults import RedisFault
from store.link import Link

_log = logging.getLogger("gateway.queue")

T = TypeVar("T")

NO_TIME = "0"
"""The `now` of a script that may run however late."""

PATIENCE = 0.9
"""Seconds that a client's request may wait for Redis before it gets a 503."""

PATIENCE_PER_MIB = 0.1
"""Seconds more for each MiB of the request: Redis reads, copies and writes all of it."""

LARGE = 256 * 1024
"""Bytes of a request from which on it goes over a connection of its own."""

MIB = 1024 * 1024

LATENESS = 1.0
"""Seconds by which our idea of Redis's clock may be wrong."""


class Server:
    """One Redis, as a gateway uses it."""

    def __init__(self, url: str, keys: Keys = DEFAULT_KEYS) -> None:
        self.keys = keys
        """The names of everything in it."""
        self.redis = connect(url, connections=32, timeout=5.0)
        """For plain commands."""
        self.wrote_at = -math.inf
        """When it was last seen to take writes, on the monotonic clock; -inf since it failed."""
        self._link = Link(url, keys, timeout=5.0)
        self._bulk = Link(url, keys, timeout=5.0)
        """For large requests, behind which no small one has to wait."""
        self._clock = clock.Clock()

    async def run(self, call: Call[T], now: str | None = None) -> T:
        """Run a script. `now` is what it knows of the time, ours by default. Raises RedisFault."""
        return await self._link.run(call, self._now() if now is None else now)

    async def run_soon(self, call: Call[T], now: str | None = None) -> T:
        """Run a script that a client waits for. Raises RedisFault within `PATIENCE`."""
        now = self._now() if now is None else now
        return await self._soon(self._link.run(call, now, PATIENCE))

    async def run_large(self, call: Call[T], size: int) -> T:
        """Run a script that a client waits for, with an argument of `size` bytes.

        Raises RedisFault within `patience_for(size)`.
        """
        link, patience = self._bulk if size > LARGE else self._link, patience_for(size)
        return await self._soon(link.run(call, self._now(patience), patience))

    async def soon(self, reply: Coroutine[Any, Any, T]) -> T:
        """Return redis-py's reply that a client waits for. Raises RedisFault within `PATIENCE`."""
        try:
            return await within(PATIENCE, reply)
        except RedisFault:
            self.wrote_at = -math.inf
            raise

    async def _soon(self, reply: Coroutine[Any, Any, T]) -> T:
        try:
            return await reply
        except RedisFault:
            self.wrote_at = -math.inf
            raise

    async def probe_writes(self) -> None:
        """Raise RedisFault where new work would be refused, as by a Redis that is full."""
        try:
            # It writes nothing, and is refused like a command that would.
            await self.redis.setrange(self.keys.ring + ":none", 0, "")
        except RedisFault:
            self.wrote_at = -math.inf
            raise
        self.wrote_at = time.monotonic()

    async def keep_time(self) -> None:
        """Compare Redis's clock with ours. Raises RedisFault."""

        def run(check: CheckClock) -> Coroutine[Any, Any, ClockReading]:
            return self._link.run(check, self._clock.bounds(time.monotonic()))

        if step := await clock.keep_time(self._clock, run):
            _log.warning(clock.described(step))

    def not_after(self, size: int) -> float | None:
        """Return when, by Redis's clock, a request of `size` bytes will have been given up.

        A Redis that was frozen meanwhile then does not run it. None: its clock is not known yet.
        """
        if not self._clock.known:
            return None
        return self._clock.at(time.monotonic()) + patience_for(size) + LATENESS

    async def aclose(self) -> None:
        """Close the connections."""
        await self._link.aclose()
        await self._bulk.aclose()
        await self.redis.aclose()

    def _now(self, patience: float = PATIENCE) -> str:
        # The time that a script may find: one that runs so late can see that it does.
        now: str = self._clock.bounds(time.monotonic(), patience + 2 * LATENESS)
        return now


def patience_for(size: int) -> float:
    """Return the seconds that a request of `size` bytes may wait for Redis."""
    return PATIENCE + PATIENCE_PER_MIB * (size / MIB)


async def within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Return what the call returns. Raises TimeoutError when that takes longer.

    Not `asyncio.timeout`: redis-py waits with `asyncio.wait_for`, which in Python 3.11 swallows a
    cancellation that comes just when it is done, and the call would go on.
    """
    calling = asyncio.create_task(call)
    calling.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        done, _ = await asyncio.wait({calling}, timeout=seconds)
    finally:
        calling.cancel()
    if not done:
        raise TimeoutError
    return calling.result()
