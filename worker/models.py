"""The catalogue as one worker knows it, and when it is fetched anew.

One worker fetches it for all, once an hour; and once a minute at most when somebody asks for a
model that it does not have, which may be new. While Poe does not answer, the last good one stays.
"""

from __future__ import annotations

import asyncio
import logging
import time

from contract.messages import Catalogue, Model
from worker.poe.client import PoeClient
from worker.poe.faults import Fault
from worker.queue import CatalogueStore

_log = logging.getLogger("worker.models")

CATALOGUE_AGE = 3600.0
"""Seconds after which the catalogue is fetched anew."""

CATALOGUE_RETRY = 60.0
"""Seconds after a fetch of it that failed, or that an unknown model was the reason for."""

LOOK_EVERY = 5.0
"""Seconds between two looks at its version."""

FIRST_LOOKS = 0.2
"""Seconds between two looks while there is none."""


class Models:
    """The models of the upstream, by any of their names."""

    def __init__(self, store: CatalogueStore, poe: PoeClient) -> None:
        self._store = store
        self._poe = poe
        self._version: bytes | None = None
        self._by_name: dict[str, Model] = {}
        self._settled = asyncio.Event()
        """Set when there is a catalogue, or when Poe has given none."""
        self._wanted = asyncio.Event()
        """Set when somebody has asked for a model that is not there."""
        self._wanted_at = -CATALOGUE_RETRY

    def find(self, name: str) -> Model | None:
        """Find a model by its id or its display name, in any case.

        One that is not there is looked for at Poe, but not waited for.
        """
        model = self._by_name.get(name.casefold())
        now = time.monotonic()
        if model is None and self._by_name and now - self._wanted_at >= CATALOGUE_RETRY:
            self._wanted_at = now
            self._wanted.set()
        return model

    def known_as(self, name: str) -> str:
        """Return one name for all that a model has, in one case; for any other, the name itself."""
        model = self._by_name.get(name.casefold())
        return (model.id if model else name).casefold()

    async def settled(self, seconds: float) -> None:
        """Return when there is a catalogue, or clearly none to be had, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            self._settled.set()

    async def keep(self) -> None:
        """Look for a newer catalogue, fetch one if it falls to us, and wait until it is time again.

        Raises RedisFault.
        """
        has_failed = await self._is_due() and not await self._fetch()
        if (version := await self._store.version()) != self._version:
            await self._learn(version)
        if has_failed:
            # Not before this: an earlier catalogue may be there.
            self._settled.set()
        await self._pause()

    async def _is_due(self) -> bool:
        if await self._store.may_fetch(CATALOGUE_RETRY):
            return True
        wanted = self._wanted.is_set()
        self._wanted.clear()
        return wanted and await self._store.may_refetch(CATALOGUE_RETRY)

    async def _fetch(self) -> bool:
        """Return whether Poe has given its catalogue."""
        try:
            models = await self._poe.models()
        except Fault as fault:
            _log.warning("Poe's list of models could not be fetched: %s", fault)
            return False
        await self._store.publish(Catalogue(time.time(), models), CATALOGUE_AGE)
        return True

    async def _learn(self, version: bytes | None) -> None:
        catalogue = await self._store.latest()
        self._version = version
        if catalogue is None:
            return
        by_id = {model.id.casefold(): model for model in catalogue.models}
        by_display_name = {m.display_name.casefold(): m for m in catalogue.models if m.display_name}
        self._by_name = by_display_name | by_id
        self._settled.set()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY if self._settled.is_set() else FIRST_LOOKS):
                await self._wanted.wait()
        except TimeoutError:
            return
