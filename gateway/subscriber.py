"""One subscription to one channel, kept alive.

A hand-written protocol on hiredis: it costs a tenth of redis-py's pub/sub for each message, and
calls straight into the hub, with no task, queue or future in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

_log = logging.getLogger("gateway.subscriber")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries to connect."""

PING_EVERY = 1.0
SILENCE = 5.0
"""Seconds without a byte, pongs included, after which the connection counts as dead."""


class Subscriber:
    """Calls `on_message` with each message, and `on_gap` whenever some may have been missed."""

    def __init__(
        self,
        url: str,
        channel: str,
        on_message: Callable[[bytes], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._where = parse_url(url)
        self._channel = channel
        self._on_message = on_message
        self._on_gap = on_gap

    async def run(self) -> None:
        """Stay subscribed until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(SILENCE):
                    link = await self._connect()
            except (OSError, TimeoutError) as error:
                _log.warning("cannot subscribe: %r", error)
            else:
                if await link.watch():
                    pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connect(self) -> _Link:
        loop, where = asyncio.get_running_loop(), self._where
        link = _Link(self._greeting(), self._on_message, self._on_gap)
        if path := where.get("path"):
            await loop.create_unix_connection(lambda: link, path)
        else:
            tls = "connection_class" in where and "SSL" in where["connection_class"].__name__
            host, port = where.get("host", "localhost"), where.get("port", 6379)
            await loop.create_connection(lambda: link, host, port, ssl=tls or None)
        return link

    def _greeting(self) -> bytes:
        greeting = b""
        if password := self._where.get("password"):
            user = self._where.get("username")
            greeting += _command("AUTH", *([user] if user else []), password)
        return greeting + _command("SUBSCRIBE", self._channel)


class _Link(asyncio.Protocol):
    def __init__(
        self, greeting: bytes, on_message: Callable[[bytes], None], on_gap: Callable[[], None]
    ) -> None:
        self._greeting = greeting
        self._on_message = on_message
        self._on_gap = on_gap
        self._reader = hiredis.Reader()
        self._lost = asyncio.Event()
        self._subscribed = False
        self._heard = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101
        self._transport = transport  # type: ignore[assignment]  # uvloop's is not a subclass
        self._write(self._greeting)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._take(reply)

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None  # uvloop's raises when it is used after this
        self._lost.set()

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            _log.error("Redis refuses the subscription: %s", reply)
            self._close()
        elif isinstance(reply, list) and reply[0] == b"message":
            self._on_message(reply[2])
        elif isinstance(reply, list) and reply[0] == b"subscribe":
            self._subscribed = True
            # Whatever was published before this instant went to nobody.
            self._on_gap()

    async def watch(self) -> bool:
        """Return when the connection is gone: whether it was ever subscribed."""
        silent = 0.0
        try:
            while silent < SILENCE and not self._lost.is_set():
                self._heard = False
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_EVERY):
                        await self._lost.wait()
                silent = 0.0 if self._heard else silent + PING_EVERY
                self._write(_command("PING"))
        finally:
            self._close()
        return self._subscribed

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _command(*words: str) -> bytes:
    return bytes(hiredis.pack_command(cast(tuple[Any, ...], words)))
