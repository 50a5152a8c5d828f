"""One request to Poe and its answer, as batches of the contract's events.

A batch goes from the socket to its taker in one call. The task that waits in `read` wakes only at
the end of the answer, and when the answer comes faster than it is taken.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Awaitable, Callable

import httpx

from contract.messages import Event
from runtime.wakeup import Wakeup
from worker.poe.body import ERROR_TIME, LONGEST_BODY, LONGEST_ERROR
from worker.poe.errors import from_status
from worker.poe.faults import Fault, FaultKind, Reach
from worker.poe.http1 import Connection, Connections, Gate, Outgoing
from worker.poe.http_errors import translated
from worker.poe.limits import RateLimits, limits_from
from worker.poe.reader import AnswerReader
from worker.poe.sse import EventDecoder, ServerSentEvent

_log = logging.getLogger("worker.poe.answer")

_TRAILER = 5.0
"""Seconds after the last word of an answer in which token counts may come."""


class Flow(enum.Enum):
    """What the taker of a batch wants next."""

    MORE = enum.auto()
    """Go on."""
    WAIT = enum.auto()
    """Go on when what was taken has reached Redis."""
    ENOUGH = enum.auto()
    """Close the connection: nothing more is wanted."""


class Answer:
    """One answer, read once by `read`.

    `connect_timeout` bounds, in seconds, the wait for a connection. `timeout` bounds the wait for
    the headers and any silence after them: every byte re-arms it. `answer_timeout` bounds all of
    the answer. `on_reach` is called each time the call comes further.
    """

    def __init__(
        self,
        connections: Connections,
        request: Outgoing,
        stream: AnswerReader,
        secret: str,
        *,
        gate: Gate,
        connect_timeout: float,
        timeout: float,
        answer_timeout: float,
        on_reach: Callable[[Reach], None] = lambda _: None,
        takes_json: bool = False,
    ) -> None:
        self.limits: RateLimits | None = None
        """What the headers say of limits; None before they come, and where they say nothing."""
        self.reach = Reach.UNSENT
        """How far the call has come."""
        self._connections = connections
        self._request = request
        self._stream = stream
        self._secret = secret
        self._gate = gate
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._answer_timeout = answer_timeout
        self._on_reach = on_reach
        self._takes_json = takes_json
        self._decoder = EventDecoder()
        self._take: Callable[[list[Event]], Flow] = lambda _: Flow.MORE
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._status = 0
        self._body: bytearray | None = None
        """The body so far, where it is not an event stream."""
        self._refusal: httpx.Headers | None = None
        """The headers, where that body says why there is no answer; else it is a whole answer."""
        self._end = self._deadline = 0.0
        """When the whole answer, and when its next byte, must have come."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._changed = Wakeup()
        """It is over, or paused."""
        self._paused = False
        self._over = False
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Answer {self.reach.name.lower()}>"

    async def read(
        self,
        take: Callable[[list[Event]], Flow],
        passed_on: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Send the request, give `take` each batch as it comes, and return at the answer's end.

        The last batch ends with `Finished`, unless `take` returned `Flow.ENOUGH` before. After
        `Flow.WAIT` nothing more is read until `passed_on` returns. Raises Fault, or NotSent where
        the gate was closed. When cancelled, the connection is closed at once.
        """
        self._take = take
        try:
            with translated(self._secret, lambda: self.reach > Reach.UNSENT):
                self._connection = await self._connections.send(
                    self._request,
                    self,
                    connect_timeout=self._connect_timeout,
                    gate=Gate(self._gate.before_send, self._gate.may_send, self._sending),
                )
                # It may be large, and the answer may take long.
                del self._request
                await self._until_over(passed_on)
        except Fault as fault:
            fault.reached = self.reach
            raise
        finally:
            self._close()

    async def _until_over(self, passed_on: Callable[[], Awaitable[None]] | None) -> None:
        while True:
            await self._changed.wait()
            if self._over:
                break
            self._changed.clear()
            if passed_on is not None:
                await passed_on()
            self._paused = False
            self._rearm()
            if self._connection is not None:
                self._connection.resume()
        if self._error is not None:
            raise self._error

    def on_head(self, status: int, headers: httpx.Headers) -> None:
        """The status has come."""
        self._status = status
        self._come_to(Reach.ANSWERED if 200 <= status < 300 else Reach.REFUSED)
        self.limits = limits_from(headers)
        content_type = headers.get("content-type", "text/event-stream").lower()
        is_json = self._takes_json and content_type.startswith("application/json")
        if status != 200 or not (is_json or content_type.startswith("text/event-stream")):
            self._refusal = headers
            # The status says the most.
            self._end = min(self._end, self._loop.time() + ERROR_TIME)
        if is_json or self._refusal is not None:
            self._body = bytearray()
        self._rearm()

    def on_data(self, data: bytes) -> None:
        """More of the body has come."""
        if self._over:
            return
        self._rearm()
        if self._body is not None:
            self._gather(self._body, data)
            return
        try:
            batch = self._stream.feed(self._decoder.feed(data))
        except Fault as fault:
            self._finish(fault)
        else:
            self._give(batch)

    def on_end(self) -> None:
        """The body is complete."""
        if self._over:
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._body is not None:
            event = ServerSentEvent("message", bytes(self._body))
            self._give(self._stream.feed([event]) + self._stream.end())
            self._finish(None)
        else:
            self._end_stream()

    def on_lost(self, error: Exception) -> None:
        """The connection is gone."""
        if self._over:
            return
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._stream.is_complete:
            self._end_stream()
        else:
            self._finish(error)

    def _sending(self) -> None:
        """The request leaves now."""
        self._end = self._loop.time() + self._answer_timeout
        self._rearm()
        self._set_timer(self._deadline)
        self._gate.on_sent()
        self._come_to(Reach.SENT)

    def _gather(self, body: bytearray, data: bytes) -> None:
        body += data
        if self._refusal is not None and len(body) > LONGEST_ERROR:
            self._refuse(self._refusal)
        elif len(body) > LONGEST_BODY:
            self._finish(Fault(FaultKind.PROTOCOL))

    def _refuse(self, headers: httpx.Headers) -> None:
        """End with the reason why there is no answer, from as much of the body as has come."""
        body = bytes(self._body or b"")
        self._finish(from_status(self._status, headers, body, time.time()))

    def _end_stream(self) -> None:
        try:
            batch = self._stream.feed(self._decoder.close()) + self._stream.end()
        except Fault as fault:
            self._finish(fault)
        else:
            self._give(batch)
            self._finish(None)

    def _give(self, batch: list[Event]) -> None:
        if self.reach is not Reach.BEGUN and self._stream.begun:
            self._come_to(Reach.BEGUN)
        flow = Flow.MORE
        if batch:
            try:
                flow = self._take(batch)
            except Exception as error:
                # The task that reads raises it; without it, that task would wait for ever.
                self._finish(error)
                return
        if self._stream.is_over or flow is Flow.ENOUGH:
            self._finish(None)
        elif flow is Flow.WAIT and not self._paused:
            self._paused = True
            if self._connection is not None:
                self._connection.pause()
            self._changed.set()

    def _finish(self, error: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        self._error = error or self._stream.fault
        if self._stream.finished and self._connection is not None:
            # Its body may still end, so that the connection can be used again.
            self._connection.leave()
            self._connection = None
        self._changed.set()

    def _come_to(self, reach: Reach) -> None:
        if reach > self.reach:
            self.reach = reach
            self._on_reach(reach)

    def _rearm(self) -> None:
        now = self._loop.time()
        if self._stream.is_complete:
            # Counted from the last word, whatever follows it.
            self._deadline = min(self._deadline, now + _TRAILER)
        else:
            self._deadline = min(now + self._timeout, self._end)
        if self._deadline < self._timer_at:
            self._set_timer(self._deadline)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._look), at

    def _look(self) -> None:
        """Check whether the time is up. One timer serves the whole answer."""
        now = self._loop.time()
        if self._paused or now < self._deadline:
            self._set_timer(now + self._timeout if self._paused else self._deadline)
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._stream.is_complete:
            self._end_stream()
        else:
            self._finish(TimeoutError())

    def _close(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.close()
        if self._stream.skipped:
            skipped = {"events": self._stream.skipped}
            _log.warning("a part of an answer could not be read and was skipped", extra=skipped)
