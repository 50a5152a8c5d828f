"""The access tokens that are kept in Redis, as a gateway asks for them."""

from __future__ import annotations

import time

from contract.calls.stored_keys import FindKey, Found
from gateway.queue.beliefs import Beliefs
from gateway.queue.server import Server


class StoredKeys:
    """The stored keys of one deployment."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known = Beliefs[Found]()

    def __repr__(self) -> str:
        return f"StoredKeys({len(self._known)} remembered)"

    async def find(self, digest: str) -> Found:
        """Return whose secret has this digest, in hex; the empty one is nobody's.

        Raises RedisFault, within a second; msgspec.DecodeError for a key that cannot be read.
        """
        asked = time.monotonic()
        known = self._known.recall(digest, asked)
        if known is not None:
            return known
        found = await self._server.run_soon(FindKey(digest))
        if digest and found.key is None:
            # A digest that is nobody's is not remembered: whoever guesses displaces nothing.
            self._known.forget(digest)
        else:
            self._known.note(digest, asked, found)
        return found
