"""What both kinds of answers have in common while they arrive."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from contract.messages import Event
from worker.poe.chunks import FinishReason
from worker.poe.faults import Fault, FaultKind
from worker.poe.fragments import Fragments
from worker.poe.sse import ServerSentEvent


class Reading(ABC):
    """One answer while it arrives.

    `feed` and `end` return what a client may see, ending with `Finished` when the answer is
    complete. `fault` is set when it will not be; it is no exception here, because what came
    before it in the same bytes is still good.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.finished = False
        self._calls = Fragments()
        self._reason: FinishReason | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether nothing that may still come matters."""
        return self.finished or self.fault is not None

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Tell whether only token counts may still come."""

    def feed(self, events: list[ServerSentEvent]) -> list[Event]:
        """Take Poe's events in order."""
        out: list[Event] = []
        for event in events:
            if self.is_over:
                break
            try:
                out += self._take(event)
            except Fault as fault:
                self.fault = fault
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                self.fault = Fault(FaultKind.PROTOCOL)
                # For the log: it tells the place and the types, not the content.
                self.fault.__cause__ = error
        return out

    @abstractmethod
    def end(self) -> list[Event]:
        """Take the end of the body."""

    @abstractmethod
    def _take(self, event: ServerSentEvent) -> list[Event]: ...

    def _finish_reason(self) -> FinishReason:
        # OpenAI's clients run tools only if this says so.
        if self._calls and self._reason in (None, "stop"):
            return "tool_calls"
        return self._reason or "stop"
