"""What is spent while a gateway runs, as the ledger has it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from contract.ledger import LedgerRecord
from gateway.queue.server import Server
from store.ledger import BEGINNING, Follower

_log = logging.getLogger("gateway.queue")


class Spending:
    """Hands each record that is written from the first look on to `take`."""

    def __init__(self, server: Server, take: Callable[[LedgerRecord], object]) -> None:
        self._server = server
        self._take = take
        self._follower: Follower | None = None

    async def look(self) -> None:
        """Hand on what has been recorded since the last look. Raises RedisFault."""
        if self._follower is None:
            self._follower = Follower(
                self._server.run, lambda _, record: self._take(record), await self._last()
            )
        try:
            await self._follower.refresh()
        except msgspec.DecodeError as error:
            _log.warning("a later version wrote what this one cannot count: %s", error)
            self._follower = None

    async def _last(self) -> str:
        found: Any = await self._server.redis.xrevrange(self._server.keys.ledger, count=1)
        return found[0][0].decode() if found else BEGINNING
