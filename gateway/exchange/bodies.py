"""Bodies of requests: small ones are read at once, large ones in a child process.

What a large body costs falls on the child, and waits only for the same client's others and for
one of the few places: all streams of this gateway go on meanwhile.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from gateway.openai.errors import invalid_request
from gateway.openai.reading import framed, outcome, read
from gateway.openai.request import ChatRequest
from runtime.offload import Offload, TooCostly

AT_ONCE = 32 * 1024
"""Bytes of a body that is read at once, in a few milliseconds at worst: more than most have."""

PROCESSES = 2
SECONDS = 5.0
"""CPU time for one body. One of 32 MiB takes about half a second."""
_MEMORY = 256 * 1024 * 1024
_MEMORY_PER_BYTE = 16
"""Address space: one emoji makes a text take four bytes a character, and there are a few copies."""


class Bodies:
    """Reads the bodies of all requests to one gateway, of at most `largest` bytes each."""

    def __init__(self, largest: int) -> None:
        self._offload = Offload(
            "gateway.openai.reading:read_apart",
            processes=PROCESSES,
            seconds=SECONDS,
            memory=_MEMORY + _MEMORY_PER_BYTE * largest,
        )
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, kind: str, body: bytes, client: str) -> ChatRequest:
        """Return what a body asks for. Raises ApiError (400) that names the offending field.

        `kind` is one of those that `gateway.openai.reading` knows. A client has one turn at a time.
        """
        if len(body) <= AT_ONCE:
            return read(kind, body)
        turn = self._turns.setdefault(client, asyncio.Lock())
        async with turn:
            try:
                answer = await self._offload.call(*framed(kind, body))
            except TooCostly:
                raise invalid_request(
                    "The request's body takes too much time or memory to read."
                    " Send a smaller or a simpler one."
                ) from None
        return outcome(answer)

    async def close(self) -> None:
        """End the child processes."""
        await self._offload.close()
