"""HTTP/1.1 connections whose bytes reach their reader in the very call that read them.

    socket -> buffer_updated -> httptools' parser -> Reader.on_data

httpx builds the requests and names what goes wrong. Between the socket and the reader of an answer
there is no task, future or queue: a streamed answer is thousands of small reads, and each layer
would cost more than the reading (docs/performance.md).

A grant lasts a moment, while connecting may take longer and a process may be frozen meanwhile. So
the gate is asked when the connection is open and nothing is written, and the request is written in
the same step.
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import httptools
import httpx
import msgspec

KEEP_ALIVE = 50.0
"""Seconds for which an idle connection is kept: less than the 60 after which load balancers
close theirs, for a request sent into that moment may have been charged."""

LINGER = 0.5
"""Seconds after its reader has left in which a body may end, so that its connection can be used
again."""

MAX_HEAD = 64 * 1024
"""Bytes that the status line and the headers of a response may take."""

READ_SIZE = 16 * 1024
"""Bytes that a connection reads in one turn of the event loop. An upstream as fast as it can be
fills any buffer, and the event loop reads on while there is anything: without this bound a few fast
answers would hold up everyone else for seconds."""

Origin = tuple[str, str, int]
"""Scheme, host and port."""


class NotSent(Exception):
    """The request was no longer wanted, or no longer granted, when the connection was open.

    Not a byte of it has left.
    """


class Outgoing(msgspec.Struct, frozen=True):
    """A request as it is written."""

    origin: Origin
    data: bytes


class Head(msgspec.Struct, frozen=True):
    """All of a POST but some headers and its body, made once for many requests."""

    origin: Origin
    lines: bytes

    def with_body(self, body: bytes, headers: bytes = b"") -> Outgoing:
        """Return the request with this body; `headers` are further lines, each with its end."""
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return Outgoing(self.origin, b"".join((self.lines, headers, length, body)))


class Gate(msgspec.Struct, frozen=True):
    """What is asked before the first byte of a request leaves."""

    before_send: Callable[[], Awaitable[bool]]
    """Awaited with the connection open: whether the request is still wanted."""
    may_send: Callable[[], bool]
    """Asked in the very step in which the request is written: whether it is still granted."""
    on_sent: Callable[[], None]


async def _ready() -> bool:
    return True


OPEN = Gate(_ready, lambda: True, lambda: None)
"""The gate of a request that needs no grant."""


class Reader(Protocol):
    """Takes one response. `on_end` or `on_lost` is the last call, and is made once."""

    def on_head(self, status: int, headers: httpx.Headers) -> None:
        """The status line and the headers have come."""

    def on_data(self, data: bytes) -> None:
        """More of the body has come."""

    def on_end(self) -> None:
        """The body is complete."""

    def on_lost(self, error: Exception) -> None:
        """The response will not be completed."""


class Connection:
    """A response on its way, as its reader holds it."""

    def __init__(self, link: _Link) -> None:
        self._link: _Link | None = link

    def pause(self) -> None:
        """Read nothing more from the socket until `resume`."""
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """Read from the socket again."""
        if self._link is not None:
            self._link.resume()

    def leave(self) -> None:
        """Read no more of this response. Its connection is kept if the body ends soon by itself."""
        if self._link is not None:
            self._link.linger()
            self._link = None

    def close(self) -> None:
        """Close the connection now, unless the response is complete."""
        if self._link is not None:
            self._link.abort()
            self._link = None

    def detach(self) -> None:
        """Forget the connection: it serves another request from now on."""
        self._link = None


class Connections:
    """A pool of connections, at most `max_connections` in use at a time.

    `proxy` is an `http://` or `https://` URL, with a user and a password where it wants them.
    """

    def __init__(self, *, max_connections: int, proxy: httpx.URL | None = None) -> None:
        self._free = asyncio.Semaphore(max_connections)
        self._proxy = proxy
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._tls.set_alpn_protocols(["http/1.1"])
        # What is read is used up in the call that read it, so one buffer serves all.
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._idle: dict[Origin, list[_Link]] = {}
        self._busy: set[_Link] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def outgoing(self, request: httpx.Request) -> Outgoing:
        """Return a request, whose content has been read, as it is written."""
        lines = _lines(request, self._proxy, request.headers.multi_items())
        return Outgoing(_origin(request.url), lines + b"\r\n" + request.content)

    def head(self, request: httpx.Request) -> Head:
        """Return a request as it is written, for any body."""
        headers = [pair for pair in request.headers.multi_items() if pair[0] != "content-length"]
        return Head(_origin(request.url), _lines(request, self._proxy, headers))

    async def send(
        self,
        request: Outgoing,
        reader: Reader,
        *,
        connect_timeout: float,
        gate: Gate = OPEN,
    ) -> Connection:
        """Send a request, and return while its response is on its way to `reader`.

        `connect_timeout` bounds, in seconds, the wait for a free place in the pool and the
        connecting together. Raises httpx.ConnectError or httpx.ConnectTimeout where no connection
        can be had, and NotSent where the gate is closed; then nothing was sent, and `reader` is
        not called.
        """
        while True:
            link = await self._connected(request.origin, connect_timeout)
            try:
                ready = await gate.before_send()
            except BaseException:
                self._put_back(link)
                raise
            # Asked last: whatever was awaited may have taken its time.
            if not ready or not gate.may_send():
                self._put_back(link)
                raise NotSent
            if link.is_usable:
                break
            # The other side has closed it meanwhile.
            self._put_back(link)
        gate.on_sent()
        self._busy.add(link)
        return link.begin(request.data, reader)

    async def aclose(self) -> None:
        """Close every connection."""
        for link in [*self._busy, *(link for links in self._idle.values() for link in links)]:
            link.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def is_over(self, link: _Link, *, reusable: bool) -> None:
        """Take back a connection whose response has ended."""
        if link in self._busy:
            self._busy.discard(link)
            if reusable:
                self._put_back(link)
            else:
                self._free.release()

    def forget(self, link: _Link) -> None:
        """Drop an idle connection that was closed."""
        links = self._idle.get(link.origin, [])
        if link in links:
            links.remove(link)

    def _take(self, origin: Origin) -> _Link | None:
        links, oldest = self._idle.get(origin, []), _now() - KEEP_ALIVE
        while links:
            # The last to come is the last that the other side closes.
            link = links.pop()
            if link.idle_since > oldest and link.is_usable:
                return link
            link.abort()
        return None

    def _put_back(self, link: _Link) -> None:
        self._free.release()
        if not link.is_usable:
            return
        link.idle_since = _now()
        self._idle.setdefault(link.origin, []).append(link)
        if self._sweeping is None:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(KEEP_ALIVE / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeping, oldest = None, _now() - KEEP_ALIVE
        for origin in list(self._idle):
            links = self._idle[origin]
            for link in [link for link in links if link.idle_since <= oldest]:
                links.remove(link)
                link.abort()
            if not links:
                del self._idle[origin]
        if self._idle:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(KEEP_ALIVE / 2, self._sweep)

    async def _connected(self, origin: Origin, timeout: float) -> _Link:
        if not self._free.locked() and (link := self._take(origin)):
            # There is a place, so this does not wait.
            await self._free.acquire()
            return link
        try:
            async with asyncio.timeout(timeout):
                await self._free.acquire()
                try:
                    return self._take(origin) or await self._open(origin)
                except BaseException:
                    self._free.release()
                    raise
        except TimeoutError:
            raise httpx.ConnectTimeout("there was no connection in time") from None
        except (OSError, UnicodeError) as error:
            # A host name that cannot be encoded is one that does not exist.
            raise httpx.ConnectError(str(error)) from error

    async def _open(self, origin: Origin) -> _Link:
        loop, link = asyncio.get_running_loop(), _Link(self, origin, self._buffer)
        scheme, host, port = origin
        tls = self._tls if scheme == "https" else None
        if self._proxy is None:
            await loop.create_connection(lambda: link, host, port, ssl=tls)
        elif tls is None:
            await self._connect_to_proxy(lambda: link, self._proxy)
        else:
            transport = await self._tunnel(self._proxy, host, port)
            upgraded = await loop.start_tls(transport, link, tls, server_hostname=host)
            if upgraded is None:
                raise ConnectionError("the proxy closed the connection")
            link.connection_made(upgraded)
        return link

    async def _connect_to_proxy(
        self, protocol: Callable[[], asyncio.BaseProtocol], proxy: httpx.URL
    ) -> asyncio.Transport:
        tls = self._tls if proxy.scheme == "https" else None
        port = proxy.port or (443 if tls else 80)
        transport, _ = await asyncio.get_running_loop().create_connection(
            protocol, proxy.host, port, ssl=tls
        )
        return transport

    async def _tunnel(self, proxy: httpx.URL, host: str, port: int) -> asyncio.Transport:
        """Have the proxy open a tunnel to a host."""
        tunnel = _Tunnel()
        transport = await self._connect_to_proxy(lambda: tunnel, proxy)
        try:
            at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            lines = [f"CONNECT {at} HTTP/1.1", f"Host: {at}", *_credentials(proxy)]
            transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))
            await tunnel.opened
        except BaseException:
            transport.abort()
            raise
        return transport


class _Link(asyncio.BufferedProtocol):
    """One connection. It is idle while it has no reader."""

    def __init__(self, pool: Connections, origin: Origin, buffer: memoryview) -> None:
        self._buffer = buffer
        self.origin = origin
        self.idle_since = 0.0
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reader: Reader | None = None
        self._connection: Connection | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = self._unparsed = 0
        self._has_head = False
        self._ends_with_connection = False
        self._decompress: Callable[[bytes], bytes] | None = None

    @property
    def is_usable(self) -> bool:
        """Return whether a request can be written now."""
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, data: bytes, reader: Reader) -> Connection:
        """Write a request whose response `reader` takes."""
        self._reset()
        self._is_paused = False
        self._reader = reader
        self._connection = Connection(self)
        if self._transport is not None:
            self._transport.write(data)
        return self._connection

    def pause(self) -> None:
        """Stop reading from the socket."""
        self._is_paused = True
        self._stop_reading()

    def resume(self) -> None:
        """Read from the socket again."""
        self._is_paused = False
        self._go_on()

    def _stop_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        transport = self._transport
        if transport is not None and not self._is_paused and not transport.is_reading():
            transport.resume_reading()

    def linger(self) -> None:
        """Wait a moment for the end of a body that nobody reads any longer."""
        if self._reader is not None:
            self._reader = _Nobody()
            self.resume()
            loop = asyncio.get_running_loop()
            self._lingering = loop.call_later(LINGER, self.abort)

    def abort(self) -> None:
        """Close the connection at once."""
        self._stop_lingering()
        self._reader = None
        if self._transport is not None:
            self._transport.abort()
        self._pool.is_over(self, reusable=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is not a subclass

    def get_buffer(self, _: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        if self._reader is None:
            # No request is under way.
            self.abort()
            return
        self._unparsed = 0 if self._has_head else self._unparsed + size
        try:
            self._parser.feed_data(self._buffer[:size])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, Exception) else error)
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(f"the answer is not HTTP: {error}"))
        else:
            if not self._has_head and self._unparsed > MAX_HEAD:
                self._fail(httpx.RemoteProtocolError("the answer's headers do not end"))
            elif size == len(self._buffer):
                # There is more: the others first.
                self._stop_reading()
                asyncio.get_running_loop().call_soon(self._go_on)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None  # uvloop's raises when it is used after this
        if self._reader is None:
            self._pool.forget(self)
            self._pool.is_over(self, reusable=False)
        elif error is None and self._has_head and self._ends_with_connection:
            self._end(reusable=False)
        else:
            self._fail(httpx.ReadError(str(error or "the connection was closed in mid-answer")))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            raise httpx.RemoteProtocolError("the answer's headers are too long")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise httpx.RemoteProtocolError("the server has changed the protocol")
            return
        # Without an encoding each look at a header tries several.
        headers, self._headers = httpx.Headers(self._headers, encoding="latin-1"), []
        self._has_head = True
        self._ends_with_connection = not (
            "content-length" in headers or "transfer-encoding" in headers
        )
        self._decompress = _decompressor(headers.get("content-encoding", ""))
        if self._reader is not None:
            self._reader.on_head(status, headers)

    def on_body(self, data: bytes) -> None:
        if self._decompress is not None:
            data = self._decompress(data)
        if self._reader is not None and data:
            self._reader.on_data(data)

    def on_message_complete(self) -> None:
        if not self._has_head:
            # An interim response, such as 100 Continue: the real one follows.
            self._headers = []
        elif self._reader is not None:
            self._end(reusable=self._parser.should_keep_alive() and self.is_usable)

    def _end(self, *, reusable: bool) -> None:
        reader = self._finished()
        if not reusable and self._transport is not None:
            self._transport.abort()
        self._pool.is_over(self, reusable=reusable)
        if reader is not None:
            reader.on_end()

    def _fail(self, error: Exception) -> None:
        reader = self._finished()
        self.abort()
        if reader is not None:
            reader.on_lost(error)

    def _finished(self) -> Reader | None:
        self._stop_lingering()
        reader, self._reader = self._reader, None
        if self._connection is not None:
            self._connection.detach()
            self._connection = None
        return reader

    def _stop_lingering(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None


class _Nobody:
    """Reads what is left of a body whose reader has left."""

    def on_head(self, status: int, headers: httpx.Headers) -> None: ...
    def on_data(self, data: bytes) -> None: ...
    def on_end(self) -> None: ...
    def on_lost(self, error: Exception) -> None: ...


class _Tunnel(asyncio.Protocol):
    """Waits for a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer = b""

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, complete, _ = self._answer.partition(b"\r\n\r\n")
        if complete:
            status = head.split(b" ", 2)[1:2]
            self._settle(None if status[:1] == [b"200"] else _refusal(head))
        elif len(self._answer) > MAX_HEAD:
            self._settle(ConnectionError("the proxy's answer is too long"))

    def connection_lost(self, error: Exception | None) -> None:
        self._settle(error or ConnectionError("the proxy closed the connection"))

    def _settle(self, error: Exception | None) -> None:
        if self.opened.done():
            return
        if error is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(error)


def _refusal(head: bytes) -> ConnectionError:
    line = head.split(b"\r\n", 1)[0][:100].decode("latin-1")
    return ConnectionError(f"the proxy does not connect: {line!r}")


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _lines(
    request: httpx.Request, proxy: httpx.URL | None, headers: Sequence[tuple[str, str]]
) -> bytes:
    """Return a request's first line and these headers.

    To a proxy without a tunnel the target is the whole URL.
    """
    url = request.url
    target = url.raw_path
    lines = [f"{name}: {value}".encode("latin-1") for name, value in headers]
    if proxy is not None and url.scheme == "http":
        target = b"http://" + url.netloc + target
        lines += [line.encode("ascii") for line in _credentials(proxy)]
    first = request.method.encode("ascii") + b" " + target + b" HTTP/1.1"
    return b"\r\n".join([first, *lines, b""])


def _credentials(proxy: httpx.URL) -> list[str]:
    if not proxy.username:
        return []
    pair = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode("ascii")
    return [f"Proxy-Authorization: Basic {pair}"]


def _decompressor(encoding: str) -> Callable[[bytes], bytes] | None:
    """Return what undoes a compression that was not asked for. Raises RemoteProtocolError."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
        case _:
            raise httpx.RemoteProtocolError(f"the answer is compressed as {encoding[:32]!r}")


def _now() -> float:
    return asyncio.get_running_loop().time()
