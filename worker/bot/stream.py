"""The meaning of a bot's events: from Poe's vocabulary to the contract's.

    text, replace_response        go through the transcript, which holds placeholders back
    file, json                    become files, tool calls, reasoning and usage
    error, done, end of the body  end the answer; the first of them wins, for Poe's own server
                                  library still sends `done` after an `error`
    anything else                 is not for a client: meta, suggested_reply, ping, data, and
                                  whatever Poe adds next

An event about another response than the main one (`index` neither null nor 0) is left out.
"""

from __future__ import annotations

import msgspec

from contract.messages import Event, File, Finished, Reasoning
from worker.bot.transcript import MAX_TEXT, Transcript
from worker.poe.chunks import read_chunk
from worker.poe.errors import from_error_event
from worker.poe.faults import Fault, FaultKind
from worker.poe.reading import Reading
from worker.poe.sse import ServerSentEvent


class _TextData(msgspec.Struct, frozen=True, gc=False):
    text: str
    index: object = None


class _FileData(msgspec.Struct, frozen=True):
    url: str
    content_type: str = ""
    name: str = ""
    inline_ref: str | None = None
    index: object = None


_decode_text = msgspec.json.Decoder(_TextData).decode
_decode_file = msgspec.json.Decoder(_FileData).decode


class AnswerStream(Reading):
    """A bot's answer."""

    def __init__(self, max_text: int = MAX_TEXT) -> None:
        super().__init__()
        self._max_text = max_text
        self._transcript = Transcript(max_text)
        self._beside = 0
        """Characters of files and reasoning."""
        self._has_files = False

    @property
    def is_complete(self) -> bool:
        """Tell whether all is said before the end: a bot's last word may yet be replaced."""
        return False

    def end(self) -> list[Event]:
        """Take the end of the body: with some answer it is as good as `done`.

        But not amid tool calls, of which half of an argument would be run.
        """
        if self._calls and self._reason is None and not self.is_over:
            self.fault = Fault(FaultKind.CUT)
            return []
        return self.feed([ServerSentEvent("done", b"")])

    def _take(self, event: ServerSentEvent) -> list[Event]:
        match event.name:
            case "text" if event.data:
                data = _decode_text(event.data)
                return self._transcript.append(data.text) if _is_main(data.index) else []
            case "replace_response" if event.data:
                data = _decode_text(event.data)
                return self._transcript.replace(data.text) if _is_main(data.index) else []
            case "file" if event.data:
                return self._take_file(_decode_file(event.data))
            case "json" if event.data:
                return self._take_chunk(msgspec.json.decode(event.data))
            case "error":
                raise from_error_event(event.data)
            case "done":
                return self._finish()
            case _:
                return []

    def _take_file(self, data: _FileData) -> list[Event]:
        if not _is_main(data.index):
            return []
        self._has_files = True
        self._bound(data.url, data.name)
        file = File(data.url, data.name, data.content_type, data.inline_ref or "")
        return [*self._transcript.interrupt(), file]

    def _take_chunk(self, value: object) -> list[Event]:
        chunk = read_chunk(value)
        events: list[Event] = []
        if chunk.reasoning:
            self._bound(chunk.reasoning)
            events.append(Reasoning(chunk.reasoning))
        events += self._transcript.append(chunk.content)
        if chunk.tool_calls:
            events += [*self._transcript.interrupt(), *self._calls.take(chunk.tool_calls)]
        if chunk.usage:
            events.append(chunk.usage)
        self._reason = chunk.finish_reason or self._reason
        return events

    def _bound(self, *texts: str) -> None:
        self._beside += sum(map(len, texts))
        if self._beside > self._max_text:
            raise Fault(FaultKind.PROTOCOL)

    def _finish(self) -> list[Event]:
        events = self._transcript.finish()
        said = not self._transcript.is_empty or self._has_files or self._calls
        if not said and self._reason in (None, "stop"):
            self.fault = Fault(FaultKind.EMPTY)
            return events
        self.finished = True
        return [*events, Finished(self._finish_reason())]


def _is_main(index: object) -> bool:
    """Tell whether an event is about the main response; a nonsensical index counts as none."""
    return not (isinstance(index, int) and index)
