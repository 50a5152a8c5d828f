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
from worker.poe.chunks import Chunk, read_chunk
from worker.poe.errors import from_late_error
from worker.poe.faults import Fault, FaultKind
from worker.poe.reading import Reading
from worker.poe.sse import ServerSentEvent

MAX_SIZE = 8 * 1024 * 1024
"""Characters of one answer with its reasoning: models that stream for an hour at 200 tokens a
second stay below this."""

_DONE = b"[DONE]"


class ChatStream(Reading):
    """An answer of Poe's OpenAI API."""

    def __init__(self, max_size: int = MAX_SIZE) -> None:
        super().__init__()
        self._max_size = max_size
        self._size = 0
        self._usage: Usage | None = None

    @property
    def is_complete(self) -> bool:
        """Tell whether only the token counts may still come."""
        return self._reason is not None

    def end(self) -> list[Event]:
        """Take the end of the body."""
        if self.is_complete:
            return self.feed([ServerSentEvent("message", _DONE)])
        if not self.is_over:
            self.fault = Fault(FaultKind.CUT)
        return []

    def _take(self, event: ServerSentEvent) -> list[Event]:
        name, data = event.name, event.data.strip()
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
