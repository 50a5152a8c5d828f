"""An event that wakes one task.

asyncio's own allots room for 64 tasks that wait, 760 bytes: thousands of open answers have several.
"""

from __future__ import annotations

import asyncio


class Wakeup:
    """Like asyncio.Event, for a single task that waits."""

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Wake the task that waits; from now on, nobody has to wait."""
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Let whoever waits from now on wait for the next `set`."""
        self._is_set = False

    async def wait(self) -> None:
        """Return when it is set. Raises RuntimeError while another task waits."""
        if self._is_set:
            return
        if self._waiter is not None:
            raise RuntimeError("another task waits already")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
