"""One committed stream: frames as they come, comments when none do, no faster than its client."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from contract.lifetimes import ANSWER_LIFE
from contract.messages import Failed, Finished, Record, is_terminal
from gateway.dialect import Dialect, Encoder, Frame, Reassuring
from gateway.exchange.answer import Answer
from gateway.exchange.backpressure import CREDIT, Backpressure
from gateway.exchange.resume import Cursor
from gateway.http import ProtocolClosed, Request
from gateway.problems import Problem
from gateway.queue.batch import Batch
from gateway.queue.follower import Follower

EVENT_EVERY = 60.0
"""Seconds without an event after which one takes a comment's place: Codex gives up after 300."""

_LARGE = 16 * 1024
"""Characters that are written at once, though more may come in the same batch."""


class Stream:
    """Writes one answer to its client.

    `cursor` numbers the frames of an answer that can be resumed; `ids` says whether its client
    wants the numbers as `id:` lines, too. `skip` is how many frames the client has; `goes_on` says
    that the answer does so without this stream, which then ends without an event where this gateway
    fails. `problem_of` returns the problem of a failed choice.
    """

    def __init__(
        self,
        request: Request,
        answer: Answer,
        dialect: Dialect,
        encoder: Encoder,
        *,
        followers: Collection[Follower],
        backpressure: Backpressure,
        batch: Batch,
        problem_of: Callable[[Failed], Problem],
        cursor: Cursor | None = None,
        ids: bool = False,
        skip: int = 0,
        goes_on: bool = False,
    ) -> None:
        self._sink = request.stream()
        self._told = time.monotonic()
        self._peer = request.peer
        self._answer = answer
        self._dialect = dialect
        self._encoder = encoder
        self._followers = followers
        self._backpressure = backpressure
        self._batch = batch
        self._problem_of = problem_of
        self._cursor = cursor
        self._ids = ids
        self._skip = skip
        self._goes_on = goes_on
        self._unfinished = answer.choices
        self._has_begun = cursor is not None and not cursor.is_at_start
        self._pending: list[str] = []
        self._wrote = 0.0
        self._credit = CREDIT
        self._paused_at: float | None = None

    def write(self, choice: int, record: Record) -> None:
        """Write what this record adds, together with the rest of its batch."""
        if self._goes_on and self._answer.is_ours:
            return
        frames = self._encoder.feed(choice, record.events)
        if frames and not self._has_begun:
            self._begin()
        last = record.events[-1] if record.events else None
        end = last if last is not None and is_terminal(last) else None
        if isinstance(end, Failed):
            frames = frames + self._encoder.end(self._problem_of(end))
        if self._cursor and record.epoch:
            self._pending += self._numbered(self._cursor, choice, record, frames)
        else:
            self._pending += self._texts(frames)
        if isinstance(end, Finished):
            self._unfinished -= 1
            if not self._unfinished:
                self._pending += self._texts(self._encoder.end(None))
        if sum(map(len, self._pending)) > _LARGE:
            self._flush()
        elif self._pending:
            self._batch.defer(self._flush_safely)

    def fail(self, problem: Problem) -> None:
        """End the stream by a fault of the gateway's own."""
        if not self._goes_on:
            self._pending += self._texts(self._encoder.end(problem))
        self._flush()

    def open(self) -> None:
        """Write what goes before the answer, without waiting for the first of it."""
        if not self._has_begun:
            self._begin()
        self._flush()

    def comment(self, data: bytes) -> None:
        """Write what keeps the connection open, and from time to time the client patient."""
        if isinstance(self._encoder, Reassuring) and time.monotonic() - self._told >= EVENT_EVERY:
            if not self._has_begun:
                self._begin()
            self._pending += map(_text, self._encoder.still())
            self._flush()
        else:
            self._send(data)

    def silent_since(self) -> float:
        """Return when something was last written, on the monotonic clock; now, while paused."""
        return self._wrote if self._paused_at is None else time.monotonic()

    def stop(self) -> None:
        """Wait for the client no longer. The body ends with its request."""
        self._backpressure.forget(self._peer)

    def drop_if_stalled(self, now: float) -> None:
        """Give up a client that has read nothing for as long as its answer can be kept."""
        if self._paused_at is not None and now - self._paused_at > ANSWER_LIFE:
            self._answer.leave()

    def _begin(self) -> None:
        self._has_begun = True
        frames = self._encoder.begin()
        if self._cursor is None:
            self._pending += self._texts(frames)
        else:
            self._pending += [self._with_id(frame, "0") for frame in frames]

    def _texts(self, frames: list[Frame]) -> list[str]:
        """Render frames without ids, but for those that the client has."""
        new = frames[self._skip :] if self._skip else frames
        self._skip -= len(frames) - len(new)
        return [_text(frame) for frame in new]

    def _numbered(
        self, cursor: Cursor, choice: int, record: Record, frames: Collection[Frame]
    ) -> list[str]:
        ids = cursor.number(choice, record, len(frames))
        numbered = zip(frames, ids, strict=True)
        return [self._with_id(frame, at) for frame, at in numbered if at is not None]

    def _with_id(self, frame: Frame, event_id: str) -> str:
        line = f"id: {event_id}\n" if self._ids else ""
        return line + _text(self._dialect.stamp(frame, event_id))

    def _flush(self) -> None:
        if self._pending:
            self._told = time.monotonic()
            data = "".join(self._pending).encode()
            self._pending.clear()
            self._send(data)

    def _flush_safely(self) -> None:
        try:
            self._flush()
        except Exception as fault:
            self._answer.break_off(fault)

    def _send(self, data: bytes) -> None:
        self._wrote = time.monotonic()
        try:
            self._sink.write(data)
        except ProtocolClosed:
            self._answer.leave()
            return
        self._credit -= len(data)
        if self._credit < 0:
            self._credit = CREDIT
            if self._backpressure.is_behind(self._peer):
                self._pause()

    def _pause(self) -> None:
        self._paused_at = time.monotonic()
        for follower in self._followers:
            follower.pause()
        self._backpressure.when_ready(self._peer, self._resume)

    def _resume(self) -> None:
        self._paused_at = None
        for follower in self._followers:
            follower.resume()


def _text(frame: Frame) -> str:
    if frame.event:
        return f"event: {frame.event}\ndata: {frame.data}\n\n"
    return f"data: {frame.data}\n\n"
