"""Reads a bot's events: from Poe's vocabulary to the contract's.

    text, replace_response        go through the transcript, which holds placeholders back
    file, json                    become files, tool calls, reasoning and usage
    error, done, end of the body  end the answer; the first of them wins, for Poe's own server
                                  library still sends `done` after an `error`
    anything else                 is not for a client: meta, suggested_reply, ping, data, and
                                  whatever Poe adds next

An event about another response than the main one (`index` neither null nor 0) is left out; one
that cannot be read is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from contract.messages import Event, File, Finished, Reasoning
from worker.bot.transcript import MAX_TEXT, Transcript
from worker.poe.chunks import Chunk, read_chunk
from worker.poe.errors import from_error_event
from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import decode, object_of, string_of
from worker.poe.reader import AnswerReader
from worker.poe.sse import ServerSentEvent
from worker.poe.surrogates import SurrogateJoiner, whole


class _TextData(msgspec.Struct, frozen=True, gc=False):
    text: str | None
    index: object = None


_decode_text = msgspec.json.Decoder(_TextData).decode


class BotReader(AnswerReader):
    """A bot's answer."""

    def __init__(self, tools: Collection[str] = (), max_text: int = MAX_TEXT) -> None:
        super().__init__(tools)
        self._max_text = max_text
        self._transcript = Transcript(max_text)
        self._beside = 0
        """Characters of files and reasoning."""
        self._has_files = False
        self._is_cut = False
        """The body has ended without an event that ends the answer."""
        self._lacks_replacement = False
        """The last replacement of the text could not be read."""

    @property
    def is_complete(self) -> bool:
        """Return False: until its end, a bot's answer may be replaced."""
        return False

    def end(self) -> list[Event]:
        """Take the end of the body: behind some answer it counts as `done`.

        Not amid tool calls, where half of an argument would be run; and an empty answer needs an
        event that ends it.
        """
        is_told = self._reason is not None or (self._is_counted and self._calls.are_whole)
        if self._calls and not is_told and not self.is_over:
            self.fault = Fault(FaultKind.CUT)
            return []
        self._is_cut = self._reason is None
        return self.feed([ServerSentEvent("done", b"")])

    def _take(self, event: ServerSentEvent) -> list[Event]:
        match event.name:
            case "text" if event.data:
                data = _read_text(event.data)
                return self._append(data.text or "") if _is_main(data.index) else []
            case "replace_response" if event.data:
                data = _read_text(event.data)
                # An event without text replaces nothing.
                has_text = data.text is not None and _is_main(data.index)
                return self._replace(data.text or "") if has_text else []
            case "file" if event.data:
                return self._take_file(object_of(decode(event.data)))
            case "json" if event.data:
                return self._take_chunk(read_chunk(decode(event.data)))
            case "error":
                raise from_error_event(event.data)
            case "done":
                return self._finish()
            case _:
                return []

    def _skip(self, event: ServerSentEvent) -> None:
        super()._skip(event)
        self._lacks_replacement = self._lacks_replacement or event.name == "replace_response"

    def _append(self, text: str) -> list[Event]:
        self.begun = self.begun or bool(text)
        return self._transcript.append(self._text.join(text))

    def _replace(self, text: str) -> list[Event]:
        self.begun = self.begun or bool(text)
        self._lacks_replacement = False
        self._text = SurrogateJoiner()
        return self._transcript.replace(self._text.join(text))

    def _take_file(self, fields: dict[str, object]) -> list[Event]:
        if not _is_main(fields.get("index")):
            return []
        names = ("url", "name", "content_type", "inline_ref")
        url, name, media_type, inline_ref = (whole(string_of(fields.get(n))) for n in names)
        if not url:
            raise ValueError("a file without an address")
        self._has_files = True
        self._bound(url, name)
        return [*self._transcript.interrupt(), File(url, name, media_type, inline_ref)]

    def _take_chunk(self, chunk: Chunk) -> list[Event]:
        events = self._think(self._thoughts.join(chunk.reasoning))
        events += self._append(chunk.content)
        if chunk.fragments:
            self.begun = True
            events += [*self._transcript.interrupt(), *self._calls.take(chunk.fragments)]
        if chunk.usage:
            events.append(chunk.usage)
        self._note(chunk)
        return events

    def _think(self, thoughts: str) -> list[Event]:
        self.begun = self.begun or bool(thoughts)
        self._bound(thoughts)
        return [Reasoning(thoughts)] if thoughts else []

    def _bound(self, *texts: str) -> None:
        self._beside += sum(map(len, texts))
        if self._beside > self._max_text:
            raise Fault(FaultKind.PROTOCOL)

    def _finish(self) -> list[Event]:
        if self._lacks_replacement:
            raise Fault(FaultKind.PROTOCOL)
        events = self._think(self._thoughts.rest())
        events += self._transcript.append(self._text.rest())
        events += [*self._transcript.finish(is_cut=self._is_cut), *self._last_calls()]
        said = not self._transcript.is_empty or self._has_files or self._calls
        if not said and self.skipped:
            raise Fault(FaultKind.PROTOCOL)
        if not said and (self._is_cut or self._reason == "tool_calls"):
            self.fault = Fault(FaultKind.EMPTY)
            return events
        self.finished = True
        return [*events, Finished(self._finish_reason())]


def _read_text(data: bytes) -> _TextData:
    try:
        return _decode_text(data)
    except (msgspec.DecodeError, UnicodeError):
        return msgspec.convert(decode(data), _TextData)


def _is_main(index: object) -> bool:
    """Return whether an event is about the main response; a nonsensical index counts as none."""
    return not (isinstance(index, int) and index)
