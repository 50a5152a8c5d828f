"""One answer on its way from the hub to its client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from contract.messages import (
    Event,
    Failed,
    FailureKind,
    Finished,
    Reasoning,
    Record,
    Replaced,
    Started,
    Text,
    Verbatim,
    is_output,
    is_terminal,
)
from runtime.wakeup import Wakeup

Writer = Callable[[int, Record], None]
"""Takes the number of a choice, from 0, and its next record."""

_TAKEN_FOR_DEAD = Failed(
    FailureKind.INTERRUPTED,
    "The answer was interrupted: this gateway stood still for so long that it was taken for dead.",
    charged=True,
)
"""Marked as charged: the worker may have called Poe before it was told to stop."""


class Answer:
    """What has been heard of one request's jobs, one for each choice, and whether it is wanted.

    Records are held until `flow_to` says where they go; from then on they are written in the very
    call that brought them, with no task or future for each.
    """

    def __init__(self, choices: int = 1, *, goes_on: bool = False) -> None:
        """`goes_on`: the jobs go on without this client, so that others may cancel them."""
        self.choices = choices
        self._goes_on = goes_on
        self.began = time.monotonic()
        self.started: Started | None = None
        self.first_text_at: float | None = None
        self.end: Finished | Failed | None = None
        """The failure of any choice, or the end of the last."""
        self.is_ours = False
        """Whether the end is the gateway's own, and the jobs go on."""
        self.client_left = False
        self.is_accepted = False
        """Whether the client was told that it will be answered, and does not wait for it."""
        self._unfinished = set(range(choices))
        self._held: list[tuple[int, Record]] = []
        self._writer: Writer | None = None
        self._fault: Exception | None = None
        self._decided = Wakeup()
        self._over = Wakeup()

    @property
    def unfinished(self) -> set[int]:
        """The choices that have not ended."""
        return self._unfinished

    @property
    def outcome(self) -> str:
        """How it ended: `ok`, the kind of its failure, `accepted`, `client left` or `refused`."""
        if isinstance(self.end, Failed):
            return self.end.kind
        if self.end is not None:
            return "ok"
        if self.is_accepted:
            return "accepted"
        return "client left" if self.client_left else "refused"

    def take(self, choice: int, record: Record) -> None:
        """Take the next record of a choice. What follows the end is ignored."""
        if self._over.is_set():
            return
        if not self._goes_on:
            record = _for_one_who_is_here(record)
        for event in record.events:
            self._note(choice, event)
        if self._writer is None:
            self._held.append((choice, record))
        else:
            self._write(self._writer, choice, record)
        if self.end is not None:
            self._over.set()

    def fail(self, failed: Failed) -> None:
        """End it by a failure of the gateway's own, unless it has ended."""
        if self.end is None:
            self.is_ours = True
            choice = min(self._unfinished)
            self.take(choice, Record("", 0, 0, (failed,)))
            self._unfinished.add(choice)

    def leave(self) -> None:
        """Expect the client no longer: it has gone."""
        self.client_left = True
        self._decided.set()
        self._over.set()

    def break_off(self, fault: Exception) -> None:
        """End it by a fault in writing it.

        It concerns the request that waits in `over`, not the hub, which serves them all.
        """
        self._fault = fault
        self._over.set()

    async def decided(self, patience: float | None) -> None:
        """Return at the first output, at the end, or after `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._decided.wait()

    async def over(self) -> None:
        """Return at the end, or when the client is gone. Raises the fault of `break_off`."""
        await self._over.wait()
        if self._fault is not None:
            raise self._fault

    def flow_to(self, writer: Writer) -> None:
        """Send all records, those held and those to come, to `writer`."""
        self._writer = writer
        held, self._held = self._held, []
        for choice, record in held:
            writer(choice, record)

    def _write(self, writer: Writer, choice: int, record: Record) -> None:
        try:
            writer(choice, record)
        except Exception as fault:
            self.break_off(fault)

    def _note(self, choice: int, event: Event) -> None:
        if isinstance(event, Started):
            self.started = event
        if self.first_text_at is None and _is_text(event):
            self.first_text_at = time.monotonic()
        if is_terminal(event):
            self._unfinished.discard(choice)
            if isinstance(event, Failed) or not self._unfinished:
                self.end = event
        if is_output(event):
            self._decided.set()


def _is_text(event: Event) -> bool:
    if isinstance(event, Verbatim):
        return event.holds in ("text", "thought")
    return isinstance(event, Text | Replaced | Reasoning)


def _for_one_who_is_here(record: Record) -> Record:
    """Return the record as a client that has not left may be told it.

    A job is cancelled when its client has left. A client that hears of it has not: this gateway
    was taken for dead.
    """
    last = record.events[-1] if record.events else None
    if not isinstance(last, Failed) or last.kind is not FailureKind.CANCELLED:
        return record
    return msgspec.structs.replace(record, events=(*record.events[:-1], _TAKEN_FOR_DEAD))
