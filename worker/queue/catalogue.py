"""The catalogue of models that one worker fetches for all."""

from __future__ import annotations

import logging

import msgspec

from contract.calls.call import milliseconds
from contract.codec import decode_catalogue, encode
from contract.messages import Catalogue
from worker.queue.session import RedisSession, reply_of

CATALOGUE_LIFE = 7 * 24 * 3600
"""Seconds for which the last good catalogue is kept while Poe does not answer."""

_log = logging.getLogger("worker.queue")


class CatalogueStore:
    """The catalogue, in Redis."""

    def __init__(self, session: RedisSession) -> None:
        self._redis = session.redis
        self._keys = session.keys
        self._worker = session.worker

    async def may_fetch(self, life: float) -> bool:
        """Return whether this worker is to fetch the catalogue, as one does in `life` seconds."""
        return await self._claims(self._keys.catalogue_lock, life)

    async def may_refetch(self, life: float) -> bool:
        """Return whether it may be fetched before its time, as it may once in `life` seconds."""
        return await self._claims(self._keys.catalogue_asked, life)

    async def publish(self, catalogue: Catalogue, life: float) -> None:
        """Make a catalogue known to everyone, and let nobody fetch it for `life` seconds."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._keys.catalogue, encode(catalogue), ex=CATALOGUE_LIFE)
            pipe.set(self._keys.catalogue_version, repr(catalogue.fetched), ex=CATALOGUE_LIFE)
            pipe.set(self._keys.catalogue_lock, self._worker, px=milliseconds(life))
            await pipe.execute()

    async def version(self) -> bytes | None:
        """Return a value that is another with each catalogue; None: there is none."""
        version: bytes | None = await reply_of(self._redis.get(self._keys.catalogue_version))
        return version

    async def latest(self) -> Catalogue | None:
        """Return the last good catalogue, if one can be read."""
        value: bytes | None = await reply_of(self._redis.get(self._keys.catalogue))
        try:
            return decode_catalogue(value) if value else None
        except msgspec.DecodeError as error:
            _log.warning("the catalogue of another version cannot be read: %s", error)
            return None

    async def _claims(self, key: str, life: float) -> bool:
        return bool(await self._redis.set(key, self._worker, nx=True, px=milliseconds(life)))
