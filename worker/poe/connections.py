"""Connections to Poe, the gate before each request, and one translation of foreign exceptions.

httpx's API over aiohttp's connections: httpx's own pool rescans all connections with every
request, at 70 ms of CPU per request with 200 of them, and loses connections on a double cancel.

A use of a token is granted for a few milliseconds only, but connecting takes longer, and a
process may be frozen in the midst of it. So the grant is looked at when the connection is there.
aiohttp tells of that moment twice: `on_request_headers_sent` fires before the headers are
written into a buffer, `on_request_chunk_sent` right before headers and body go to the transport
together. For a body the former is too early: on Python 3.11 a turn of the event loop, of any
length, lies between the two. The transport of httpx passes no context to either, hence the
context variable, which aiohttp's own writing task inherits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from urllib.parse import urlsplit

import aiohttp
import httpx
import httpx_aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from worker.poe.errors import LONGEST_MESSAGE
from worker.poe.faults import Fault, FaultKind

_KEEPALIVE = 50.0
"""Seconds for which an idle connection is kept: less than the 60 after which load balancers
close theirs, for a request sent into that moment may have been charged."""


class NotSent(Exception):
    """The call was no longer wanted, or no longer granted, when the connection was there.

    Not a byte of the request has left.
    """


class Gate:
    """What one request has to pass before its first byte leaves."""

    def __init__(
        self,
        may_send: Callable[[], bool] = lambda: True,
        on_sent: Callable[[], None] = lambda: None,
        before_send: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._may_send = may_send
        self._before_send = before_send
        self._on_sent = on_sent
        self.sent = False
        self.refused = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Guard the request that is sent inside the block."""
        token = _gate.set(self)
        try:
            yield
        finally:
            _gate.reset(token)

    async def pass_through(self) -> None:
        """Let the request go, once. Raises NotSent."""
        if self.sent:
            return
        ready = self._before_send is None or await self._before_send()
        # Asked last: whatever was awaited may have taken its time.
        if not ready or not self._may_send():
            self.refused = True
            raise NotSent
        self.sent = True
        self._on_sent()


_gate: ContextVar[Gate] = ContextVar("gate")


def transport(max_connections: int, proxy: str | None) -> httpx_aiohttp.AiohttpTransport:
    """Make a transport that is silent on everything but what it is asked to send.

    Raises ValueError for a proxy that is not HTTP.
    """
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise ValueError("a proxy must be an http:// or https:// URL; SOCKS is not supported")
    context = httpx.create_ssl_context(trust_env=False)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            # Not given, it is 100, and the 101st answer waits for one to end.
            limit=max_connections,
            keepalive_timeout=_KEEPALIVE,
            ssl=context,
        )
        return aiohttp.ClientSession(
            connector=connector,
            # A cookie would tie the accounts of different tokens together.
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            trace_configs=[_gate_keeper()],
        )

    return httpx_aiohttp.AiohttpTransport(
        verify=context,
        trust_env=False,
        client=session,
        proxy=_proxy(httpx.Proxy(proxy)) if proxy else None,
    )


def _proxy(proxy: httpx.Proxy) -> httpx.Proxy:
    if not proxy.auth:
        return proxy
    # aiohttp renames this header for the proxy; what the transport does is deprecated.
    credentials = aiohttp.encode_basic_auth(*proxy.auth, encoding="utf-8")
    return httpx.Proxy(proxy.url, headers={"Authorization": credentials})


def _gate_keeper() -> aiohttp.TraceConfig:
    async def before_headers(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        if request.method == "GET":  # which has no body, so nothing later tells of it
            await _gate.get().pass_through()

    async def before_body(
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _request: aiohttp.TraceRequestChunkSentParams,
    ) -> None:
        await _gate.get().pass_through()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(before_headers)
    trace.on_request_chunk_sent.append(before_body)
    return trace


FOREIGN = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    # The transport lets those pass that it has no name for.
    aiohttp.ClientError,
    HttpProcessingError,
    msgspec.MsgspecError,
    UnicodeError,
    OSError,
)
"""What may come out of a request; `TimeoutError` is an OSError."""


@contextmanager
def translated(gate: Gate, secret: str = "") -> Iterator[None]:
    """Turn foreign exceptions into faults, and keep the secret out of what Poe said."""
    try:
        yield
    except Fault as fault:
        if secret:
            fault.message = _redacted(fault.message, secret)
        raise
    except FOREIGN as error:
        if gate.refused:
            raise NotSent from None
        raise Fault(_kind(error, gate.sent), sent=gate.sent) from error


def _redacted(message: str, secret: str) -> str:
    """Take out the secret, and what is left of one at which the message was cut."""
    cut = len(message) >= LONGEST_MESSAGE
    message = message.replace(secret, "[token]")
    sizes = range(min(len(secret) - 1, len(message)), 0, -1) if cut else range(0)
    end = next((size for size in sizes if message.endswith(secret[:size])), 0)
    return message[: len(message) - end]


def _kind(error: Exception, sent: bool) -> FaultKind:
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT
    if isinstance(error, msgspec.MsgspecError | UnicodeError | httpx.InvalidURL):
        return FaultKind.PROTOCOL if sent else FaultKind.BAD_REQUEST
    if not sent:
        return FaultKind.UNREACHABLE
    # Which httpx exception a broken connection becomes is the transport's whim, even
    # ConnectTimeout; what is left over is an answer that is not HTTP.
    broken = isinstance(error, httpx.TransportError | aiohttp.ClientConnectionError | OSError)
    return FaultKind.CUT if broken else FaultKind.PROTOCOL
