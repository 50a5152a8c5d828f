"""One look at everyone else: workers, queue and catalogue, as Redis knows them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from contract.calls.gateway import GatewayHeartbeat
from contract.calls.worker import Reclaim
from contract.codec import decode_catalogue, decode_report
from contract.failures import DEADLY, INTERRUPTED, TOO_LATE
from contract.lifetimes import LEDGER_LIFE
from contract.messages import Catalogue
from contract.position import QueuedClient
from gateway.queue.fleet import Fleet
from gateway.queue.server import Server

_log = logging.getLogger("gateway.queue")

T = TypeVar("T")

MAX_CLIENTS = 1000
"""Clients that an estimate of the wait takes into account."""


class Survey:
    """Looks around on behalf of one gateway."""

    def __init__(self, server: Server, gateway: str) -> None:
        self._server = server
        self._gateway = gateway
        self._catalogue: tuple[bytes | None, Catalogue | None] = (None, None)
        """Its version and what it was when last read: it is large, and seldom changes."""

    async def look(self, *, ledger_life: float = LEDGER_LIFE) -> Fleet:
        """Return what there is, and send this gateway's heartbeat. Raises RedisFault.

        `ledger_life` is for how many seconds records of the ledger are kept.
        """
        keys = self._server.keys
        await self._server.keep_time()
        await self._server.run(GatewayHeartbeat(self._gateway, ledger_life=ledger_life))
        async with self._server.redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.clock, ["steps", "offset"])
            pipe.zrange(keys.workers, 0, -1)
            pipe.hmget(keys.totals, ["waiting", "dispatched"])
            pipe.zrange(keys.ring, 0, MAX_CLIENTS - 1, withscores=True)
            pipe.get(keys.catalogue_version)
            pipe.info("memory")
            replies: list[Any] = await pipe.execute()
        (steps, offset), workers, totals, ring, version, memory = replies
        reports, queue = await self._details(workers, ring)
        found = [_readable(decode_report, report) for report in reports]
        return Fleet(
            at=time.monotonic(),
            workers=tuple(filter(None, found)),
            waiting=int(totals[0] or 0),
            dispatched=int(totals[1] or 0),
            clock_steps=int(steps or 0),
            clock_offset=int(offset or 0) / 1000,
            queue=queue,
            catalogue=await self._current_catalogue(version),
            maxmemory=int(memory.get("maxmemory", 0)),
        )

    async def reclaim(self) -> None:
        """Do for the jobs of dead workers what other workers would do. Raises RedisFault."""
        call = Reclaim(max_deaths=None, interrupted=INTERRUPTED, deadly=DEADLY, too_late=TOO_LATE)
        for worker in await self._server.run(call):
            _log.warning("worker %s has died, and no other lives; its jobs were reclaimed", worker)

    async def _details(
        self, workers: list[bytes], ring: list[tuple[bytes, float]]
    ) -> tuple[list[bytes | None], dict[str, QueuedClient]]:
        keys = self._server.keys
        async with self._server.redis.pipeline(transaction=False) as pipe:
            for name in workers:
                pipe.get(keys.worker(name.decode()))
            for client, _ in ring:
                pipe.hmget(keys.client(client.decode()), ["weight", "waiting", "gone"])
            rows: list[Any] = await pipe.execute()
        clients = zip(ring, rows[len(workers) :], strict=True)
        return rows[: len(workers)], {
            client.decode(): QueuedClient(
                turn, float(weight or 1), int(waiting or 0), int(gone or 0)
            )
            for (client, turn), (weight, waiting, gone) in clients
        }

    async def _current_catalogue(self, version: bytes | None) -> Catalogue | None:
        if version != self._catalogue[0]:
            found: Any = await self._server.redis.get(self._server.keys.catalogue)
            self._catalogue = version, _readable(decode_catalogue, found)
        return self._catalogue[1]


def _readable(decode: Callable[[bytes], T], data: bytes | None) -> T | None:
    """Decode what another process reports, or return None if it is of a version we cannot read."""
    try:
        return decode(data) if data else None
    except msgspec.DecodeError as error:
        _log.warning("cannot read what another process reports: %s", error)
        return None
