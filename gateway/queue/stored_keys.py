"""The access tokens that are kept in Redis, as a gateway asks for them.

What Redis has said of a key is believed for half a second from when it was asked, and then asked
anew. So a change is effective at every gateway within that time, without an announcement that could
be lost, and a Redis that is gone or frozen opens no door: then nothing is known.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from contract.calls.stored_keys import FindKey, Found
from gateway.queue.server import Server

BELIEVED_FOR = 0.5
"""Seconds. A busy key costs one look-up in this time."""

REMEMBERED = 10_000
"""Keys that are remembered. A digest that is nobody's is not: whoever guesses displaces nothing."""


class StoredKeys:
    """The stored keys of one deployment."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: OrderedDict[str, tuple[float, Found]] = OrderedDict()
        """What was found and when it was asked for, by digest; what was asked last is last."""

    def __repr__(self) -> str:
        return f"StoredKeys({len(self._known)} remembered)"

    async def find(self, digest: str) -> Found:
        """Return whose secret has this digest, in hex; the empty one is nobody's.

        Raises RedisFault, within a second; msgspec.DecodeError for a key that cannot be read.
        """
        asked = time.monotonic()
        known = self._known.get(digest)
        if known is not None and asked - known[0] < BELIEVED_FOR:
            return known[1]
        found = await self._server.run_soon(FindKey(digest))
        self._note(digest, asked, found)
        return found

    def _note(self, digest: str, asked: float, found: Found) -> None:
        self._known.pop(digest, None)
        if digest and found.key is None:
            return
        self._known[digest] = asked, found
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
