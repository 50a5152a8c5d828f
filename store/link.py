"""One connection to Redis that any number of commands share.

Commands wait for nothing but their replies: those that are made in one turn of the event loop leave
in one write, and replies come back in the order of the commands, as Redis promises. That costs a
tenth of what a pool costs, where each command takes a connection, writes to it and reads from it by
itself. For commands that block Redis there is `store.client.connect`, for one of them would
hold up all others.

Nothing is ever repeated. When the connection is lost, each command under way fails, and nobody can
know whether it took effect; the next command connects anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeVar, cast

import hiredis
from redis import exceptions
from redis.connection import BaseParser  # type: ignore[attr-defined]  # where parsers are told of

from contract.calls.call import Call, Word
from contract.keys import DEFAULT_KEYS, Keys
from contract.scripts import script
from store.address import parse
from store.client import Primary

R = TypeVar("R")

CONNECT_TIMEOUT = 5.0
"""Seconds within which a connection must be there and logged in."""


class Link:
    """Sends commands, and returns their replies.

    `timeout` is how many seconds a reply may take: when one takes longer, the connection is given
    up with everything that is under way on it. Raises ValueError for a URL that
    `store.address` cannot read.
    """

    def __init__(self, url: str, keys: Keys = DEFAULT_KEYS, *, timeout: float) -> None:
        self._address = parse(url)
        self._primary = Primary(self._address)
        self._keys = keys
        self._timeout = timeout
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None

    async def call(self, *words: Word) -> Any:
        """Return the reply to one command. Raises RedisFault."""
        return await (await self._open_wire()).send(words)

    async def run(self, call: Call[R], now: str, patience: float | None = None) -> R:
        """Run a script, and return what it replies. Raises RedisFault, within `patience` seconds.

        `now` is what is known of the time; see `Clock.bounds`. The first call on a connection sends
        the whole script: the refusal of one that the server does not know would let commands made
        later overtake it. A server that forgets one has not run it, and is sent it again.
        """
        wanted, arguments = script(call.script, self._keys.prefix), call.arguments()
        wire = self._wire
        if wire is None or not wire.is_open:
            async with asyncio.timeout(patience):
                wire = await self._connected()
        if wanted.sha not in wire.scripts:
            wire.scripts.add(wanted.sha)
            words = ("EVAL", wanted.source, 0, now, *arguments)
            return call.read(await wire.send(words, patience))
        try:
            reply = await wire.send(("EVALSHA", wanted.sha, 0, now, *arguments), patience)
        except exceptions.NoScriptError:
            reply = await wire.send(("EVAL", wanted.source, 0, now, *arguments), patience)
        return call.read(reply)

    async def aclose(self) -> None:
        """Close the connection. What is under way fails."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close(exceptions.ConnectionError("the connection was closed"))
        await self._primary.aclose()

    async def _open_wire(self) -> _Wire:
        wire = self._wire
        return wire if wire is not None and wire.is_open else await self._connected()

    async def _connected(self) -> _Wire:
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._has_connected)
        # Shielded: one caller that gives up does not take the others' connection with it.
        return await asyncio.shield(self._connecting)

    def _has_connected(self, task: asyncio.Task[_Wire]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._wire = task.result()

    async def _connect(self) -> _Wire:
        loop, wire = asyncio.get_running_loop(), _Wire(self._timeout)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if self._address.path:
                await loop.create_unix_connection(lambda: wire, self._address.path)
            else:
                host, port = await self._primary.find()
                await loop.create_connection(lambda: wire, host, port, ssl=self._primary.tls)
            try:
                for words in self._greeting():
                    await wire.send(words)
            except BaseException as fault:
                wire.close(exceptions.ConnectionError(f"cannot log in: {fault!r}"))
                raise
        return wire

    def _greeting(self) -> list[tuple[Word, ...]]:
        login, greeting = self._address.login, []
        if login.password:
            user = (login.username,) if login.username else ()
            greeting.append(("AUTH", *user, login.password))
        if self._address.db:
            greeting.append(("SELECT", self._address.db))
        return greeting


class _Wire(asyncio.Protocol):
    """The connection itself, for as long as it lives."""

    def __init__(self, timeout: float) -> None:
        self.is_open = False
        """Whether commands may be sent."""
        self.scripts: set[str] = set()
        """SHA-1 of each script that was sent whole."""
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(
            protocolError=exceptions.InvalidResponse, replyError=BaseParser.parse_error
        )
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        """When each command was made, and who waits for its reply."""
        self._hurried: deque[tuple[float, asyncio.Future[Any]]] = deque()
        """When a reply is waited for no longer, where that is before the connection's time is up.
        One timer for all: starting and stopping one takes longer than writing the command."""
        self._hurry: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None

    def send(self, words: tuple[Word, ...], patience: float | None = None) -> asyncio.Future[Any]:
        """Write a command, with all others of this turn of the loop; return its reply's future.

        After `patience` seconds, or a little later if others have more of it, that raises
        TimeoutError; the connection stays.
        """
        reply: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None:
            reply.set_exception(exceptions.ConnectionError("the connection is lost"))
            return reply
        packed = hiredis.pack_command(cast(tuple[Any, ...], words))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        self._waiting.append((self._loop.time(), reply))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._look)
        if patience is not None:
            self._hurried.append((self._loop.time() + patience, reply))
            if self._hurry is None:
                self._hurry = self._loop.call_later(patience, self._give_up)
        return reply

    def close(self, fault: Exception) -> None:
        """Close the connection; everything under way fails with `fault`."""
        self.is_open = False
        for timer in filter(None, (self._watch, self._hurry)):
            timer.cancel()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        waiting, self._waiting = self._waiting, deque()
        for _, reply in waiting:
            if not reply.done():
                reply.set_exception(fault)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is not a subclass
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (found := self._reader.gets()) is not False:
                self._settle(found)
        except exceptions.InvalidResponse as fault:
            self.close(exceptions.ConnectionError(f"this is no Redis: {fault}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None  # uvloop's raises when it is used after this
        self.close(exceptions.ConnectionError(f"the connection was lost: {error or 'closed'}"))

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            self._transport.write(b"".join(unsent))

    def _settle(self, found: Any) -> None:
        if not self._waiting:
            return
        _, reply = self._waiting.popleft()
        if isinstance(found, exceptions.ReadOnlyError):
            # It was the primary. What is under way is answered still; the next command looks anew.
            self.is_open = False
        if not reply.done():
            if isinstance(found, Exception):
                reply.set_exception(found)
            else:
                reply.set_result(found)
        if not self.is_open and not self._waiting:
            self.close(exceptions.ConnectionError("the server is not the primary any longer"))

    def _look(self) -> None:
        """Give up the connection if its oldest command has waited for too long."""
        self._watch = None
        if not self._waiting:
            return
        due = self._waiting[0][0] + self._timeout
        if due <= self._loop.time():
            self.close(TimeoutError(f"no reply within {self._timeout:g} s"))
        else:
            self._watch = self._loop.call_at(due, self._look)

    def _give_up(self) -> None:
        """Fail the commands whose patience is over."""
        self._hurry, hurried, now = None, self._hurried, self._loop.time()
        while hurried and (hurried[0][1].done() or hurried[0][0] <= now):
            _, reply = hurried.popleft()
            if not reply.done():
                reply.set_exception(TimeoutError())
        if hurried:
            self._hurry = self._loop.call_at(hurried[0][0], self._give_up)
