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

from runtime import tasks
from store.address import parse
from store.client import Primary
from store.faults import RedisFault

_log = logging.getLogger("gateway.queue.subscriber")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries to connect."""

PING_EVERY = 1.0
SILENCE = 5.0
"""Seconds without a byte, pongs included, after which the connection counts as dead."""

LOOK_EVERY = 2.0
"""Seconds between two looks at where the primary is, where sentinels know. A server that has been
one takes subscriptions all the same, and answers every ping."""


class Subscriber:
    """Calls `on_message` with each message, and `on_gap` whenever some may have been missed."""

    def __init__(
        self,
        url: str,
        channel: str,
        on_message: Callable[[bytes], None],
        on_gap: Callable[[], None],
    ) -> None:
        self._address = parse(url)
        self._primary = Primary(self._address)
        self._channel = channel
        self._on_message = on_message
        self._on_gap = on_gap

    async def run(self) -> None:
        """Stay subscribed until cancelled."""
        pause = FIRST_PAUSE
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE):
                        link = await self._connect()
                except RedisFault as error:
                    _log.warning("cannot subscribe: %r", error)
                else:
                    if await self._watch(link):
                        pause = FIRST_PAUSE
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            await self._primary.aclose()

    async def _connect(self) -> _Link:
        loop = asyncio.get_running_loop()
        link = _Link(self._greeting(), self._on_message, self._on_gap)
        if self._address.path:
            await loop.create_unix_connection(lambda: link, self._address.path)
        else:
            host, port = await self._primary.find()
            await loop.create_connection(lambda: link, host, port, ssl=self._primary.tls)
        return link

    async def _watch(self, link: _Link) -> bool:
        """Return as `_Link.watch` does, or when the server is not the primary any longer."""
        if not self._address.service:
            return await link.watch()
        looking = asyncio.create_task(self._close_when_demoted(link))
        try:
            return await link.watch()
        finally:
            await tasks.end([looking])

    async def _close_when_demoted(self, link: _Link) -> None:
        at = self._primary.at
        while True:
            await asyncio.sleep(LOOK_EVERY)
            with suppress(*RedisFault):
                if await self._primary.find() != at:
                    _log.warning("the primary is another server now")
                    return link.close()

    def _greeting(self) -> bytes:
        greeting, login = b"", self._address.login
        if login.password:
            greeting += _command("AUTH", *filter(None, [login.username]), login.password)
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
        try:
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError as error:
            _log.error("the server does not speak Redis's protocol: %s", error)
            self.close()

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None  # uvloop's raises when it is used after this
        self._lost.set()

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            _log.error("Redis refuses the subscription: %s", reply)
            self.close()
        elif isinstance(reply, list) and reply[0] == b"message":
            self._on_message(reply[2])
        elif isinstance(reply, list) and reply[0] == b"subscribe":
            self._subscribed = True
            # What was published before this instant was not received.
            self._on_gap()

    async def watch(self) -> bool:
        """Wait until the connection is gone; return whether it was ever subscribed."""
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
            self.close()
        return self._subscribed

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()


def _command(*words: str) -> bytes:
    return bytes(hiredis.pack_command(cast(tuple[Any, ...], words)))
