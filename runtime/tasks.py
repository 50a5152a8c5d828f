"""Ends background tasks reliably."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

PATIENCE = 0.2
"""Seconds between two cancellations of a task that has not ended."""


async def end(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel tasks and return when all have ended. Their exceptions are discarded.

    Cancelling once is not enough: redis-py uses `asyncio.wait_for`, which in Python 3.11 loses a
    cancellation that arrives just as it completes.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=PATIENCE)
    await asyncio.gather(*tasks, return_exceptions=True)
