"""One committed stream: chunks as they come, comments when none do, no faster than its client."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Protocol

from contract.lifetimes import ANSWER_LIFE
from contract.messages import Event, Record
from gateway.exchange.answer import Answer
from gateway.exchange.backpressure import CREDIT, Pace
from gateway.exchange.resume import Cursor
from gateway.http import ProtocolClosed, Request
from gateway.queue.follower import Following

_ERROR = '{"error":'


class Renderer(Protocol):
    """What makes chunks of events."""

    finished: bool

    def opening(self) -> list[str]: ...
    def feed(self, choice: int, events: Collection[Event]) -> list[str]: ...
    def ending(self) -> list[str]: ...


class Stream:
    """Writes one answer to its client.

    `cursor` numbers the chunks of an answer that can be resumed; `ids` tells whether its client
    wants the numbers as `id:` lines, too.
    """

    def __init__(
        self,
        request: Request,
        answer: Answer,
        renderer: Renderer,
        followings: Collection[Following],
        pace: Pace,
        *,
        cursor: Cursor | None = None,
        ids: bool = False,
    ) -> None:
        self._sink = request.stream()
        self._peer = request.peer
        self._answer = answer
        self._renderer = renderer
        self._followings = followings
        self._pace = pace
        self._cursor = cursor
        self._ids = ids
        self._opening = renderer.opening() if cursor is None or cursor.is_at_start else []
        self._wrote = 0.0
        self._credit = CREDIT
        self._paused_at: float | None = None

    def write(self, choice: int, record: Record) -> None:
        """Write what this record adds."""
        chunks = self._renderer.feed(choice, record.events)
        lines = ""
        if self._opening and chunks and not chunks[0].startswith(_ERROR):
            lines, self._opening = self._begin(self._opening), []
        if self._cursor and record.epoch:
            lines += self._numbered(self._cursor, choice, record, chunks)
        else:
            lines += "".join([f"data: {chunk}\n\n" for chunk in chunks])
        if self._renderer.finished:
            lines += "".join([f"data: {chunk}\n\n" for chunk in self._renderer.ending()])
        if lines:
            self._send(lines.encode("ascii"))

    def comment(self, data: bytes) -> None:
        """Write a comment."""
        self._send(data)

    def silent_since(self) -> float:
        """When something was last written, on the monotonic clock; now, while it is paused."""
        return self._wrote if self._paused_at is None else time.monotonic()

    def stop(self) -> None:
        """Wait for the client no longer. The body ends with its request, perhaps in an error."""
        self._pace.forget(self._peer)

    def drop_if_stalled(self, now: float) -> None:
        """Give up a client that has read nothing for as long as its answer can be kept."""
        if self._paused_at is not None and now - self._paused_at > ANSWER_LIFE:
            self._answer.leave()

    def _begin(self, opening: list[str]) -> str:
        if self._cursor is None:
            return "".join([f"data: {chunk}\n\n" for chunk in opening])
        return "".join([self._with_id(chunk, "0") for chunk in opening])

    def _numbered(self, cursor: Cursor, choice: int, record: Record, chunks: list[str]) -> str:
        ids = cursor.number(choice, record, len(chunks))
        numbered = zip(chunks, ids, strict=True)
        return "".join([self._with_id(chunk, at) for chunk, at in numbered if at is not None])

    def _with_id(self, chunk: str, event_id: str) -> str:
        line = f"id: {event_id}\n" if self._ids else ""
        return f'{line}data: {chunk[:-1]},"event_id":"{event_id}"}}\n\n'

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
            if self._pace.is_behind(self._peer):
                self._pause()

    def _pause(self) -> None:
        self._paused_at = time.monotonic()
        for following in self._followings:
            following.pause()
        self._pace.when_ready(self._peer, self._resume)

    def _resume(self) -> None:
        self._paused_at = None
        for following in self._followings:
            following.resume()
