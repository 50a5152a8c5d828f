"""The connections of one worker to Redis, and what it knows of Redis's clock."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from contract.calls.call import Call
from contract.calls.clock import CheckClock, ClockReading
from contract.keys import Keys
from store.client import connect
from store.clock import Clock, keep_time
from store.faults import RedisFault
from store.link import Link

TIMEOUT = 5.0
"""Seconds that a reply may take."""

R = TypeVar("R")


class RedisSession:
    """What the parts of the queue share.

    A script may be repeated after a lost reply: `append` and `acquire` know their own earlier
    attempt, heartbeats and `release` do not mind. `dispatch` does, so after any fault there
    `Jobs.orphans` finds the jobs that were given to us unheard.
    """

    def __init__(self, url: str, worker: str, keys: Keys) -> None:
        self.worker = worker
        self.keys = keys
        self.link = Link(url, keys, timeout=TIMEOUT)
        self.redis = connect(url, connections=32, timeout=TIMEOUT)
        self.clock = Clock()

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(*RedisFault):
            await self.link.aclose()
            await self.redis.aclose()

    async def run(self, call: Call[R], patience: float = TIMEOUT) -> R:
        """Run a script, which may find `patience` seconds to have passed. Raises RedisFault."""
        return await self.link.run(call, self.clock.bounds(time.monotonic(), patience))

    async def keep_time(self) -> float:
        """Look at Redis's clock; return by how much it was set since, if we put that right."""

        def run(check: CheckClock) -> Coroutine[Any, Any, ClockReading]:
            # Without patience: others go by what is reported here.
            return self.run(check, patience=0.0)

        return await keep_time(self.clock, run)

    async def run_id(self) -> str:
        """Return the id that the server got when it was started."""
        found = await self.redis.info("server")
        return str(found["run_id"])


async def reply_of(command: Any) -> Any:
    """Await a command whose reply redis-py types as "awaitable or not"."""
    return await command
