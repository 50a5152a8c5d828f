"""One body as it arrives: expanded if it came compressed, kept while it is within its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gateway.inflate import Inflater
from gateway.problems import Problem, body_too_large
from gateway.uploads import Upload


class Body:
    """A body of at most `limit` bytes; `upload` counts them while they are here."""

    def __init__(self, upload: Upload, limit: int, inflater: Inflater | None) -> None:
        self._upload = upload
        self._limit = limit
        self._inflater = inflater
        self._pieces: list[bytes] = []

    async def add(self, data: bytes) -> Problem | None:
        """Take more of the body. Returns why it is not taken, if so; nothing of it is kept then."""
        try:
            for number, piece in enumerate(self._expanded(data)):
                if number:
                    # A small body may expand for long, and others are served meanwhile.
                    await asyncio.sleep(0)
                self._keep(piece)
        except Problem as problem:
            self._pieces.clear()
            self._upload.drop()
            return problem
        return None

    def whole(self) -> bytes:
        """Return the body, which has arrived. Raises Problem if it breaks off."""
        if self._inflater is not None:
            self._inflater.finish()
        return b"".join(self._pieces)

    def _expanded(self, data: bytes) -> Iterable[bytes]:
        return (data,) if self._inflater is None else self._inflater.feed(data)

    def _keep(self, piece: bytes) -> None:
        if self._upload.size + len(piece) > self._limit:
            raise body_too_large(self._limit)
        self._upload.add(len(piece))
        self._pieces.append(piece)
