"""Reads a stream of chat completion chunks: from OpenAI's vocabulary to the contract's.

    data: {"choices": [{"delta": …}]}   text, reasoning, tool calls; the finish reason may come
                                        with the last of them or alone
    data: {"choices": [], "usage": …}   token counts; the last ones count
    data: {"error": …}                  the end, in either shape of Poe's errors; behind a finish
                                        reason the answer is whole all the same
    data: [DONE]                        the end
    end of the body                     the end if a finish reason was told, or token counts
                                        came by themselves behind the answer; else a cut
    anything else                       is skipped and counted

A whole completion, which Poe sends when no stream is asked for, is read as one chunk.
"""

from __future__ import annotations

from collections.abc import Collection

from contract.messages import Event, Finished, Reasoning, Text, Usage
from worker.poe.chunks import Chunk, plain_text, read_chunk
from worker.poe.errors import from_late_error
from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import decode
from worker.poe.reader import AnswerReader
from worker.poe.sse import ServerSentEvent

MAX_SIZE = 8 * 1024 * 1024
"""Characters of one answer with its reasoning: models that stream for an hour at 200 tokens a
second stay below this."""

_DONE = b"[DONE]"

_MOST_ODD = 32
"""Chunks that may be read twice, the first time in vain."""


class ChatReader(AnswerReader):
    """An answer over Poe's OpenAI API."""

    def __init__(self, tools: Collection[str] = (), max_size: int = MAX_SIZE) -> None:
        super().__init__(tools)
        self._max_size = max_size
        self._size = 0
        self._usage: Usage | None = None
        self._odd = 0
        """Chunks that were more than plain text."""

    @property
    def is_complete(self) -> bool:
        """Return whether only the token counts may still come."""
        return self._reason is not None

    def end(self) -> list[Event]:
        """Take the end of the body."""
        said = self._size or (self._calls and self._calls.are_whole)
        if self.is_complete or (said and self._is_counted):
            return self.feed([ServerSentEvent("message", _DONE)])
        if not self.is_over:
            is_nonsense = self.skipped and not self._size and not self._calls
            self.fault = Fault(FaultKind.PROTOCOL if is_nonsense else FaultKind.CUT)
        return []

    def _take(self, event: ServerSentEvent) -> list[Event]:
        name, data = event.name, event.data
        # Chunks that are all of another form are not read twice for long.
        if self._odd < _MOST_ODD and name == "message":
            text = plain_text(data)
            if text is not None:
                return self._take_text(text)
            self._odd += 1
        data = data.strip()
        if not data:
            return []
        if data == _DONE:
            return self._finish()
        value = decode(data)
        if name == "error" or (isinstance(value, dict) and value.get("error")):
            if self._reason and (self._size or self._calls):
                return self._finish()
            raise from_late_error(data)
        return self._take_chunk(read_chunk(value))

    def _take_text(self, text: str) -> list[Event]:
        self._is_counted = False
        self.begun = self.begun or bool(text)
        return self._words("", self._text.join(text))

    def _take_chunk(self, chunk: Chunk) -> list[Event]:
        events = self._words(self._thoughts.join(chunk.reasoning), self._text.join(chunk.content))
        if chunk.fragments:
            events += self._calls.take(chunk.fragments)
        self.begun = self.begun or bool(chunk.reasoning or chunk.content or chunk.fragments)
        self._usage = chunk.usage or self._usage
        self._note(chunk)
        return events

    def _words(self, thoughts: str, text: str) -> list[Event]:
        self._size += len(thoughts) + len(text)
        if self._size > self._max_size:
            raise Fault(FaultKind.PROTOCOL)
        events: list[Event] = [Reasoning(thoughts)] if thoughts else []
        if text:
            events.append(Text(text))
        return events

    def _finish(self) -> list[Event]:
        events = [*self._words(self._thoughts.rest(), self._text.rest()), *self._last_calls()]
        said = self._size or self._calls
        if not said and self.skipped:
            raise Fault(FaultKind.PROTOCOL)
        if not said and self._reason == "tool_calls":
            raise Fault(FaultKind.EMPTY)
        self.finished = True
        usage = [self._usage] if self._usage else []
        return [*events, *usage, Finished(self._finish_reason())]
