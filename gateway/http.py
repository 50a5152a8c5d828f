"""HTTP as this gateway speaks it: a request, its body within bounds, headers on every answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from secrets import token_hex
from typing import Any, Protocol

from granian import rsgi

from gateway.doors import Network, Peer, client_address, plain
from gateway.incoming import Body
from gateway.inflate import Inflater, inflater_of
from gateway.problems import Problem, body_timeout, body_too_large, invalid_request
from gateway.uploads import Uploads

BODY_TIMEOUT = 60.0
"""Seconds within which a whole body must arrive."""

LINGER = 32 * 1024 * 1024
"""Bytes beyond the limit that are still read, and thrown away.

A client that is cut off while it sends sees a broken connection instead of the reason, and sends
everything again.
"""

WATCH_AFTER = 0.1
"""Seconds after which it is first asked whether a client has left. Refusals and short answers are
over by then, and the question and its end cost them three turns between Granian's threads."""

LONGEST_ECHO = 2048
"""Bytes of a request header that an answer repeats. nginx counts an answer whose headers exceed its
buffer as a failure of the gateway, and leaves the gateway out after a few of them."""

ProtocolClosed: type[Exception] = vars(rsgi)["ProtocolClosed"]  # re-exported, but not typed so
"""Raised by a write to a client that has left."""

_SANE_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_SSE = [
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
]


class HTTPProtocol(Protocol):
    """Granian's side of one request, as far as we use it."""

    async def __call__(self) -> bytes: ...
    def __aiter__(self) -> Any: ...
    async def client_disconnect(self) -> None: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None: ...
    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Any: ...


class Sink:
    """The body of one streamed response.

    Granian ends such a response when its transport object is freed, so nothing else may hold it,
    not even a traceback.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Send `data`; Granian sends it during the call. Raises its RSGIProtocolClosed."""
        if self._transport is not None:
            self._transport.send_bytes(data)

    def close(self) -> None:
        """End the body."""
        self._transport = None


class Request:
    """One request and the way to answer it."""

    def __init__(
        self,
        scope: Any,
        protocol: HTTPProtocol,
        uploads: Uploads | None = None,
        trusted: Sequence[Network] = (),
    ) -> None:
        self.method: str = scope.method
        self.path: str = scope.path
        self.query: str = getattr(scope, "query_string", "") or ""
        self._client: str = scope.client
        self._headers = scope.headers
        self._authority: str = getattr(scope, "authority", None) or ""
        self._protocol = protocol
        self._uploads = uploads or Uploads(LINGER)
        self._trusted = trusted
        given = self.header("x-request-id")
        self.id = given if _SANE_ID.fullmatch(given) else f"req_{token_hex(12)}"
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        """Headers of the answer that are known before it is."""
        self.exposed: Sequence[str] = ()
        """Names of headers of the answer, beside the id, that a web page may read."""
        self._cut_off = False
        """Whether the client may still be sending what nobody will read."""
        self._sink: Sink | None = None

    @property
    def peer(self) -> Peer:
        """The client's end of the connection; nginx's, behind nginx."""
        address, _, port = self._client.rpartition(":")
        return plain(address.strip("[]")), int(port or 0)

    @property
    def host(self) -> str:
        """The name by which the client calls this server."""
        return self._authority or self.header("host")

    @property
    def address(self) -> str:
        """The address of the client, as far as the trusted proxies say."""
        return client_address(self.peer[0], self.header("x-forwarded-for"), self._trusted)

    def header(self, name: str) -> str:
        """Return a header's value, or an empty string."""
        value: str | None = self._headers.get(name)
        return value or ""

    def plain_header(self, name: str) -> str | None:
        """Return a header's value, or None if it is not there. Raises Problem if it is not ASCII.

        Granian passes on no other value, and the header must not be ignored.
        """
        value: str | None = self._headers.get(name)
        if value is None and name in self._headers.keys():  # noqa: SIM118  # it is no mapping
            raise invalid_request(f"The header {name} must be ASCII.", name)
        return value

    def ascii_headers(self, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return those of these headers that are there; values of one name are joined by commas.

        What is not ASCII is left out: Granian passes on no such value.
        """
        found = ((name, ", ".join(self._headers.get_all(name))) for name in names)
        return tuple((name, value) for name, value in found if value)

    async def body(self, limit: int) -> bytes:
        """Return the whole body, expanded, of at most `limit` bytes as such. Raises Problem."""
        inflater = inflater_of(self.header("content-encoding"))
        length = self.header("content-length")
        patience = 0 if self.header("expect") else LINGER
        if length.isdecimal() and int(length) > limit + patience:
            self._cut_off = True
            raise body_too_large(limit)
        # With both headers, the length is not the body's.
        is_told = length.isdecimal() and not self.header("transfer-encoding")
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                return await self._collected(limit, int(length) if is_told else None, inflater)
        except TimeoutError:
            self._cut_off = True
            raise body_timeout(BODY_TIMEOUT) from None

    async def _collected(self, limit: int, length: int | None, inflater: Inflater | None) -> bytes:
        size = 0
        refusal: Problem | None = None
        with self._uploads.upload(self.address) as upload:
            body = Body(upload, limit, inflater)
            async for piece in self._protocol:
                size += len(piece)
                if refusal is None:
                    refusal = await body.add(bytes(piece))
                if size > limit + LINGER:
                    self._cut_off = True
                    break
                if size == length:
                    # To hear that nothing more comes takes Granian another turn between threads.
                    break
            if refusal is not None:
                raise refusal
            return body.whole()

    def watch(self, on_leave: Callable[[], None]) -> Watch:
        """Call back when the client leaves. Stop the watch after the answer."""
        return Watch(self._protocol.client_disconnect, on_leave)

    def respond(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = "application/json",
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        """Answer with a body."""
        self.status = status
        every = [*self._common(), *(headers or [])]
        if body:
            self._protocol.response_bytes(status, [("content-type", content_type), *every], body)
        else:
            self._protocol.response_empty(status, every)

    def stream(self) -> Sink:
        """Answer with server-sent events, until the sink or the request is closed."""
        self.status = 200
        self._sink = Sink(self._protocol.response_stream(200, [*_SSE, *self._common()]))
        return self._sink

    @property
    def is_streaming(self) -> bool:
        """Whether the answer is a stream that has begun."""
        return self._sink is not None

    def close(self) -> None:
        """End the response, if it is a stream."""
        if self._sink is not None:
            self._sink.close()

    def preflight(self) -> None:
        """Answer a CORS preflight request."""
        # `*` would not cover Authorization.
        asked = self.header("access-control-request-headers")
        allowed = asked if 0 < len(asked) <= LONGEST_ECHO else "authorization, content-type"
        headers = [
            ("access-control-allow-methods", "GET, POST, DELETE, OPTIONS"),
            ("access-control-allow-headers", allowed),
            ("access-control-max-age", "86400"),
        ]
        if self.header("access-control-request-private-network") == "true":
            # A public page asks for an address of the user's own network: this server's, often.
            headers.append(("access-control-allow-private-network", "true"))
        self.respond(204, headers=headers)

    def _common(self) -> list[tuple[str, str]]:
        # Granian closes such a connection: a client that has sent all would use it again.
        return [
            *([("connection", "close")] if self._cut_off else []),
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", ", ".join(("x-request-id", *self.exposed))),
            ("x-request-id", self.id),
            *self.headers,
        ]


class Watch:
    """Calls back once when a client has left, unless it is stopped before."""

    def __init__(
        self, disconnected: Callable[[], Awaitable[None]], on_leave: Callable[[], None]
    ) -> None:
        self._disconnected = disconnected
        self._on_leave = on_leave
        self._left: asyncio.Future[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._begin)

    def _begin(self) -> None:
        # Granian remembers who has left already.
        self._left = asyncio.ensure_future(self._disconnected())
        self._left.add_done_callback(self._settle)

    def _settle(self, left: asyncio.Future[None]) -> None:
        if not left.cancelled():
            self._on_leave()

    def stop(self) -> None:
        """Call back no longer."""
        self._timer.cancel()
        if self._left is not None:
            self._left.cancel()
