"""Asks Poe, at no cost, whether a token that was blamed is at fault."""

from __future__ import annotations

import asyncio

from worker.config import PoeToken
from worker.poe.client import PoeClient
from worker.poe.faults import Fault, FaultKind

PATIENCE = 5.0
"""Seconds that Poe has to answer."""


class Balances:
    """The balances of one worker's tokens; each is asked for once at a time."""

    def __init__(self, poe: PoeClient) -> None:
        self._poe = poe
        self._asking: dict[str, asyncio.Task[FaultKind | None]] = {}

    async def fault_of(self, token: PoeToken) -> FaultKind | None:
        """Return NO_POINTS or BAD_KEY if Poe confirms it; None: nothing is proven."""
        asking = self._asking.get(token.id)
        if asking is None:
            asking = asyncio.create_task(self._look(token))
            self._asking[token.id] = asking
            asking.add_done_callback(lambda _: self._asking.pop(token.id, None))
        return await asyncio.shield(asking)

    async def _look(self, token: PoeToken) -> FaultKind | None:
        try:
            async with asyncio.timeout(PATIENCE):
                points = await self._poe.balance(token.secret)
        except TimeoutError:
            return None
        except Fault as fault:
            return fault.kind if fault.kind is FaultKind.BAD_KEY else None
        return FaultKind.NO_POINTS if points <= 0 else None
