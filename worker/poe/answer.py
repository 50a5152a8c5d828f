"""One request to Poe and its answer, as batches of the contract's events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import httpx

from contract.messages import Event
from worker.poe.body import is_event_stream, is_json, refusal, whole
from worker.poe.connections import FOREIGN, Gate, translated
from worker.poe.faults import Fault, Reach
from worker.poe.limits import RateLimits, limits_from
from worker.poe.reading import Reading
from worker.poe.sse import EventDecoder, ServerSentEvent

_log = logging.getLogger("worker.poe.answer")

_LINGER = 0.5
"""Seconds after its last event in which the body may end, so that its connection can be used
again."""

_TRAILER = 5.0
"""Seconds after the answer's last word in which token counts may come."""


class Answer:
    """Iterate batches of events, inside `async with`.

    Nothing is sent before the iteration begins. A batch is what one read from the network gave;
    the last one ends with `Finished`, and the iteration ends after it: at once, or when the
    connection is fit to be used again. Leaving the block earlier, or being cancelled, closes the
    connection at once.

    `timeout` bounds, in seconds, the wait for the headers and any silence after them: every byte
    re-arms it. `answer_timeout` bounds all of the answer.

    The iteration raises Fault, or NotSent when the use of the token was no longer granted.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        request: Callable[[], httpx.Request],
        stream: Reading,
        secret: str,
        *,
        may_send: Callable[[], bool],
        on_sent: Callable[[], None],
        timeout: float,
        answer_timeout: float,
        before_send: Callable[[], Awaitable[bool]] | None = None,
        on_reach: Callable[[Reach], None] = lambda _: None,
        takes_json: bool = False,
    ) -> None:
        self.limits: RateLimits | None = None
        """What the headers said; None before they came, and where they say nothing."""
        self.reach = Reach.UNSENT
        """How far the call has come."""
        self._on_reach = on_reach
        self._http = http
        self._request = request
        self._secret = secret
        self._on_sent = on_sent
        self._timeout = timeout
        self._answer_timeout = answer_timeout
        self._takes_json = takes_json
        self._gate = Gate(may_send, self._sending, before_send)
        self._decoder = EventDecoder()
        self._stream = stream
        self._limit = asyncio.timeout(None)
        self._last_deadline = self._deadline = 0.0
        self._batches = self._run()

    def __repr__(self) -> str:
        return f"<Answer {'sent' if self.sent else 'not sent'}>"

    @property
    def sent(self) -> bool:
        """Tell whether any byte of the request may have left."""
        return self._gate.sent

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[list[Event]]:
        return self._batches

    async def aclose(self) -> None:
        """Close the connection, unless the answer has ended well."""
        await self._batches.aclose()

    async def _run(self) -> AsyncGenerator[list[Event], None]:
        with self._marked(), translated(self._gate, self._secret):
            response = await self._send()
            try:
                self._come_to(Reach.ANSWERED if response.is_success else Reach.REFUSED)
                self.limits = limits_from(response.headers)
                if self._takes_json and is_json(response):
                    if batch := await self._whole(response):
                        yield batch
                elif not is_event_stream(response):
                    raise await refusal(response)
                body = response.aiter_bytes()
                while not self._stream.is_over:
                    if batch := self._take(await self._next_chunk(body)):
                        yield batch
                if self._stream.fault:
                    raise self._stream.fault
                await _linger(body)
            finally:
                self._tell_skipped()
                await response.aclose()

    def _tell_skipped(self) -> None:
        if self._stream.skipped:
            skipped = {"events": self._stream.skipped}
            _log.warning("a part of an answer could not be read and was skipped", extra=skipped)

    async def _send(self) -> httpx.Response:
        """Return the response when its headers are here."""
        # Connecting is timed by aiohttp; from the sending on, the first event's time runs.
        async with self._limit:
            with self._gate.entered():
                return await self._http.send(self._request(), stream=True)

    def _sending(self) -> None:
        self._last_deadline = asyncio.get_running_loop().time() + self._answer_timeout
        self._rearm()
        self._limit.reschedule(self._deadline)
        self._on_sent()
        self._come_to(Reach.SENT)

    def _come_to(self, reach: Reach) -> None:
        if reach > self.reach:
            self.reach = reach
            self._on_reach(reach)

    @contextmanager
    def _marked(self) -> Iterator[None]:
        """Tell with each fault how far the call had come."""
        try:
            yield
        except Fault as fault:
            fault.reached = self.reach
            raise

    async def _whole(self, response: httpx.Response) -> list[Event]:
        """Read an answer that is no stream, as a stream of a single event."""
        async with asyncio.timeout_at(self._deadline):
            event = ServerSentEvent("message", await whole(response))
        return self._stream.feed([event]) + self._stream.end()

    async def _next_chunk(self, body: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(body, None)
        except FOREIGN:
            if self._stream.is_complete:
                return None
            raise

    def _take(self, chunk: bytes | None) -> list[Event]:
        if chunk is None:
            return self._stream.feed(self._decoder.close()) + self._stream.end()
        batch = self._stream.feed(self._decoder.feed(chunk))
        if self._stream.begun:
            self._come_to(Reach.BEGUN)
        self._rearm()
        return batch

    def _rearm(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._stream.is_complete:
            # Counted from the last word, whatever may follow it.
            self._deadline = min(self._deadline, now + _TRAILER)
        else:
            self._deadline = min(now + self._timeout, self._last_deadline)


async def _linger(body: AsyncIterator[bytes]) -> None:
    with suppress(*FOREIGN):
        async with asyncio.timeout(_LINGER):
            async for _ in body:
                pass
