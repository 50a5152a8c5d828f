"""The meaning of a chat completion's stream: from OpenAI's chunks to the contract's events.

    data: {"choices": [{"delta": …}]}   text, reasoning, tool calls; the finish reason may come
                                        with the last of them or alone
    data: {"choices": [], "usage": …}   token counts; the last ones count
    data: {"error": …}                  the end, in either shape of Poe's errors; behind a finish
                                        reason the answer is whole all the same
    data: [DONE]                        the end
    end of the body                     the end if a finish reason was told, else a cut

A whole completion, which Poe sends when no stream is asked for, is read as one chunk.
"""

from __future__ import annotations

import msgspec

from contract.messages import Event, Finished, Reasoning, Text, Usage
from worker.poe.chunks import Chunk, FinishReason, read_chunk
from worker.poe.errors import from_late_error
from worker.poe.faults import Fault, FaultKind
from worker.poe.fragments import Fragments
from worker.poe.sse import ServerSentEvent

MAX_SIZE = 8 * 1024 * 1024
"""Characters of one answer with its reasoning: models that stream for an hour at 200 tokens a
second stay below this."""

_DONE = b"[DONE]"


class ChatStream:
    """One answer while it arrives.

    `feed` and `end` return what a client may see, ending with `Finished` when the answer is
    complete. `fault` is set when it will not be; it is no exception here, because what came
    before it in the same bytes is still good.
    """

    def __init__(self, max_size: int = MAX_SIZE) -> None:
        self.fault: Fault | None = None
        self.finished = False
        self._max_size = max_size
        self._size = 0
        self._calls = Fragments()
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether nothing that may still come matters."""
        return self.finished or self.fault is not None

    @property
    def is_complete(self) -> bool:
        """Tell whether only the token counts may still come."""
        return self._reason is not None

    def feed(self, events: list[ServerSentEvent]) -> list[Event]:
        """Take Poe's events in order."""
        out: list[Event] = []
        for event in events:
            if self.is_over:
                break
            try:
                out += self._take(event.name, event.data.strip())
            except Fault as fault:
                self.fault = fault
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                self.fault = Fault(FaultKind.PROTOCOL)
                # For the log: it tells the place and the types, not the content.
                self.fault.__cause__ = error
        return out

    def end(self) -> list[Event]:
        """Take the end of the body."""
        if self.is_complete:
            return self.feed([ServerSentEvent("message", _DONE)])
        if not self.is_over:
            self.fault = Fault(FaultKind.CUT)
        return []

    def _take(self, name: str, data: bytes) -> list[Event]:
        if not data:
            return []
        if data == _DONE:
            return self._finish()
        value = msgspec.json.decode(data)
        if name == "error" or (isinstance(value, dict) and value.get("error")):
            if self._reason and (self._size or self._calls):
                return self._finish()
            raise from_late_error(data)
        return self._take_chunk(read_chunk(value))

    def _take_chunk(self, chunk: Chunk) -> list[Event]:
        events: list[Event] = []
        if chunk.reasoning:
            events.append(Reasoning(chunk.reasoning))
        if chunk.content:
            events.append(Text(chunk.content))
        events += self._calls.take(chunk.tool_calls)
        self._size += len(chunk.reasoning) + len(chunk.content)
        if self._size > self._max_size:
            raise Fault(FaultKind.PROTOCOL)
        self._usage = chunk.usage or self._usage
        self._reason = chunk.finish_reason or self._reason
        return events

    def _finish(self) -> list[Event]:
        if not self._size and not self._calls and self._reason in (None, "stop"):
            raise Fault(FaultKind.EMPTY)
        self.finished = True
        usage = [self._usage] if self._usage else []
        return [*usage, Finished(self._finish_reason())]

    def _finish_reason(self) -> FinishReason:
        # OpenAI's clients run tools only if this says so.
        if self._calls and self._reason in (None, "stop"):
            return "tool_calls"
        return self._reason or "stop"
