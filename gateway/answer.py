"""One answer on its way from the hub to its client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from contract.messages import (
    Event,
    Failed,
    Finished,
    Reasoning,
    Replaced,
    Started,
    Text,
    is_output,
)

Writer = Callable[[Iterable[Event]], None]


class Answer:
    """What has been heard of one job, and by whom it is still wanted.

    Events are held until `flow_to` says where they go; from then on they are written in the very
    call that brought them, with no task or future for each.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.started: Started | None = None
        self.first_text_at: float | None = None
        self.end: Finished | Failed | None = None
        self.client_left = False
        self._held: list[Event] = []
        self._writer: Writer | None = None
        self._fault: Exception | None = None
        self._decided = asyncio.Event()
        self._over = asyncio.Event()

    def take(self, events: Iterable[Event]) -> None:
        """The hub has heard these events. What follows the end is ignored."""
        if self._over.is_set():
            return
        events = tuple(events)
        for event in events:
            self._note(event)
        if self._writer is None:
            self._held.extend(events)
        else:
            self._write(self._writer, events)
        if self.end is not None:
            self._over.set()

    def leave(self) -> None:
        """The client is gone."""
        self.client_left = True
        self._decided.set()
        self._over.set()

    async def decided(self, patience: float | None) -> None:
        """Return at the first output, at the end, or after `patience` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._decided.wait()

    async def over(self) -> None:
        """Return at the end, or when the client is gone. Raises what the writer raised."""
        await self._over.wait()
        if self._fault is not None:
            raise self._fault

    def flow_to(self, writer: Writer) -> None:
        """Send all events, those held and those to come, to `writer`."""
        self._writer = writer
        held, self._held = self._held, []
        writer(held)

    def _write(self, writer: Writer, events: Iterable[Event]) -> None:
        try:
            writer(events)
        except Exception as fault:
            # It concerns the request that waits in `over`, not the hub, which serves them all.
            self._fault = fault
            self._over.set()

    def _note(self, event: Event) -> None:
        if isinstance(event, Started):
            self.started = event
        if self.first_text_at is None and isinstance(event, Text | Replaced | Reasoning):
            self.first_text_at = time.monotonic()
        if isinstance(event, Finished | Failed):
            self.end = event
        if is_output(event):
            self._decided.set()
