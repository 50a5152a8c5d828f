"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

PATIENCE = 0.2
"""Seconds between two cancellations of a task that has not ended."""


async def end(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel these tasks and return when they have ended; what they raise is dropped.

    Once is not enough: redis-py waits with `asyncio.wait_for`, which in Python 3.11 swallows a
    cancellation that comes just when it is done.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=PATIENCE)
    await asyncio.gather(*tasks, return_exceptions=True)
