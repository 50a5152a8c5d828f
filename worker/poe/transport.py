"""An httpx transport over our connections, for uploads, balances and the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx

from worker.poe.http1 import Connection, Connections

MAX_BUFFERED = 256 * 1024
"""Bytes of a body that may wait for their reader; beyond them the socket is not read."""


class Transport(httpx.AsyncBaseTransport):
    """The transport of an `httpx.AsyncClient`."""

    def __init__(self, connections: Connections, connect_timeout: float) -> None:
        self._connections = connections
        self._connect_timeout = connect_timeout

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return a response whose body is still on its way. Raises httpx.TransportError."""
        await request.aread()
        body = _Body()
        body.connection = await self._connections.send(
            self._connections.outgoing(request), body, connect_timeout=self._connect_timeout
        )
        try:
            status, headers = await body.head
        except BaseException:
            await body.aclose()
            raise
        # Our connections have decompressed the body.
        plain = [pair for pair in headers.multi_items() if pair[0].lower() != "content-encoding"]
        return httpx.Response(status, headers=plain, stream=body, request=request)


class _Body(httpx.AsyncByteStream):
    """Passes a response from its connection on to httpx."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.head: asyncio.Future[tuple[int, httpx.Headers]]
        self.head = asyncio.get_running_loop().create_future()
        self._pieces: list[bytes] = []
        self._size = 0
        self._changed = asyncio.Event()
        self._is_over = False
        self._error: Exception | None = None

    def on_head(self, status: int, headers: httpx.Headers) -> None:
        if not self.head.done():
            self.head.set_result((status, headers))

    def on_data(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > MAX_BUFFERED and self.connection is not None:
            self.connection.pause()
        self._changed.set()

    def on_end(self) -> None:
        self._is_over = True
        self._changed.set()

    def on_lost(self, error: Exception) -> None:
        self._is_over, self._error = True, error
        self._changed.set()
        if not self.head.done():
            self.head.set_exception(error)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            pieces, self._pieces, self._size = self._pieces, [], 0
            for piece in pieces:
                yield piece
            if self.connection is not None:
                self.connection.resume()
            if self._is_over and not self._pieces:
                break
            self._changed.clear()
            await self._changed.wait()
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        """Close the connection, unless the body is complete."""
        if self.connection is not None:
            self.connection.close()
