"""Reading an answer while it arrives: what all upstreams have in common.

An answer is paid for, so an event that cannot be read is skipped and counted, and the answer goes
on. It fails the answer only where words are lost, in JSON that breaks off, or where its loss may
have changed the meaning of the rest: a part of a tool call, or the text that replaces all before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from contract.messages import Event, FinishReason
from worker.poe.chunks import Chunk
from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import UNREADABLE, parse
from worker.poe.sse import ServerSentEvent
from worker.poe.surrogates import SurrogateJoiner
from worker.poe.tool_calls import ToolCallAssembly

_WITHOUT_CALLS = ("text", "replace_response", "file")
"""Events of the bot protocol; any other that is read may be a chunk."""

_CUT_SHORT = ("length", "content_filter")


class AnswerReader(ABC):
    """One answer while it arrives; `tools` are the names of those that it may call.

    `feed` and `end` return what a client may see, ending with `Finished` when the answer is
    complete. `fault` is set when it never will be. It is not raised, because what came before it
    in the same bytes is still good.
    """

    def __init__(self, tools: Collection[str] = ()) -> None:
        self.fault: Fault | None = None
        self.finished = False
        self.begun = False
        """Something of the answer has come, even if all of it is held back."""
        self.skipped = 0
        """Events that could not be read, wholly or in part."""
        self._calls = ToolCallAssembly(tools)
        self._reason: FinishReason | None = None
        self._text = SurrogateJoiner()
        self._thoughts = SurrogateJoiner()
        self._is_counted = False
        """Token counts have come without a choice, as they do behind the last word of an answer."""
        self._may_lack_calls = False
        """A chunk was skipped, and tool calls come in chunks."""

    @property
    def is_over(self) -> bool:
        """Return whether the answer has ended, or never will."""
        return self.finished or self.fault is not None

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Return whether only token counts may still come."""

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
            except UNREADABLE as error:
                self._skip(event)
                is_cut = event.data.lstrip().startswith(b"{") and parse(event.data) is None
                if is_cut and not self.is_complete:
                    self.fault = Fault(FaultKind.PROTOCOL)
                    # For the log: it names the place, not the content.
                    self.fault.__cause__ = error
        self.begun = self.begun or bool(out)
        return out

    @abstractmethod
    def end(self) -> list[Event]:
        """Take the end of the body."""

    @abstractmethod
    def _take(self, event: ServerSentEvent) -> list[Event]:
        """Take one event. Raises Fault, or UNREADABLE for one that is to be skipped."""

    def _skip(self, event: ServerSentEvent) -> None:
        """Count an event that could not be read, and note what it may have held."""
        self.skipped += 1
        if self.is_complete:
            return
        self._may_lack_calls = self._may_lack_calls or event.name not in _WITHOUT_CALLS

    def _note(self, chunk: Chunk) -> None:
        """Note what a chunk holds beside the answer. Raises Fault if the model has failed."""
        self.skipped += chunk.unread
        self._is_counted = chunk.usage is not None and not chunk.has_choice
        if chunk.has_failed:
            raise Fault(FaultKind.UPSTREAM_DOWN)
        self._reason = chunk.finish_reason or self._reason

    def _last_calls(self) -> list[Event]:
        """Return the rest of the calls. Raises Fault(PROTOCOL) if a part of one may be lost."""
        called = bool(self._calls) or self._reason == "tool_calls"
        is_lost = not self._calls.are_whole and self._reason not in _CUT_SHORT
        if is_lost or (called and self._may_lack_calls):
            raise Fault(FaultKind.PROTOCOL)
        return list(self._calls.finish())

    def _finish_reason(self) -> FinishReason:
        # OpenAI's clients run tools only if this says so.
        if self._calls and self._reason in (None, "stop"):
            return "tool_calls"
        if self._reason == "tool_calls" and not self._calls:
            return "stop"
        return self._reason or "stop"
