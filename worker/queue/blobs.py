"""The content of attachments, which gateways store beside the jobs that need it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from contract.keys import DEFAULT_KEYS, Keys
from store.faults import RedisFault
from store.link import Link

TIMEOUT = 30.0
"""Seconds that one blob may take. The largest are 20 MiB."""


class Blobs:
    """Fetches blobs over a connection of its own, so that no chunk of an answer waits behind one.

    It fetches one at a time: they would share the connection anyway, and each has `TIMEOUT` for
    itself. Raises ValueError for a URL that `store.address` cannot read.
    """

    def __init__(self, url: str, keys: Keys = DEFAULT_KEYS) -> None:
        self._keys = keys
        self._link = Link(url, keys, timeout=TIMEOUT)
        self._turn = asyncio.Lock()

    async def fetch(self, digest: str) -> bytes | None:
        """Return the bytes with this SHA-256; None: they are not stored. Raises RedisFault."""
        async with self._turn:
            data: bytes | None = await self._link.call("HGET", self._keys.blob(digest), "data")
        return data

    async def aclose(self) -> None:
        """Close the connection."""
        with suppress(*RedisFault):
            await self._link.aclose()
