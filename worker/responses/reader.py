"""Reads a stream of Responses API events: from OpenAI's vocabulary to the contract's.

    response.output_text.delta              text
    response.refusal.delta                  why the model does not answer
    response.reasoning_summary_text.delta,
    response.reasoning_text.delta           thoughts
    response.output_item.added              begins a tool call, if the item is one
    response.function_call_arguments.delta  more of its arguments
    response.….done                         the same once more, whole
    response.completed, response.incomplete the end, with everything once more, and token counts
    response.failed, error                  the end, in either shape of Poe's errors
    data: [DONE]                            the end
    end of the body                         a cut
    any other event                         says nothing that these do not

What comes several times counts once: text and thoughts from the kind of event that is first to have
some, the arguments of a call from its deltas if it has any. A whole response, which Poe sends when
no stream is asked for, is read as the last event of a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Literal

import msgspec

from contract.messages import Event, Finished, Reasoning, Refusal, Text, Usage
from worker.poe.errors import from_late_error
from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import UNREADABLE, decode, object_of, string_of
from worker.poe.partial_call import Fragment
from worker.poe.reader import AnswerReader
from worker.poe.sse import ServerSentEvent
from worker.poe.surrogates import SurrogateJoiner
from worker.responses.begun_calls import BegunCalls
from worker.responses.output import (
    Kind,
    Object,
    arguments_of,
    call_of,
    cut_of,
    error_of,
    is_call,
    items_of,
    usage_of,
    words_of,
)

MAX_SIZE = 8 * 1024 * 1024
"""Characters of one answer with its thoughts: models that stream for an hour stay below this."""

_DONE = b"[DONE]"
_TEXT_DELTA = "response.output_text.delta"
_COMPLETED = "response.completed"
_ENDS = {
    _COMPLETED: "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_ARGUMENTS = "response.function_call_arguments.delta"
_ADDED, _ITEM_DONE = "response.output_item.added", "response.output_item.done"
_STATUSES = frozenset(_ENDS.values())
_WORDS: dict[str, tuple[Kind, str]] = {
    _TEXT_DELTA: ("text", "delta"),
    "response.output_text.done": ("text", "text"),
    "response.refusal.delta": ("refusal", "delta"),
    "response.refusal.done": ("refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("thought", "delta"),
    "response.reasoning_summary_text.done": ("thought", "text"),
    "response.reasoning_text.delta": ("thought", "delta"),
    "response.reasoning_text.done": ("thought", "text"),
}
"""Events that say words: of which kind, and in which field."""


class _TextDelta(msgspec.Struct, frozen=True, gc=False):
    type: Literal["response.output_text.delta"]
    delta: str


_decode_delta = msgspec.json.Decoder(_TextDelta).decode


class ResponsesReader(AnswerReader):
    """An answer over Poe's Responses API."""

    def __init__(self, tools: Collection[str] = (), max_size: int = MAX_SIZE) -> None:
        super().__init__(tools)
        self._max_size = max_size
        self._size = 0
        self._refusal = SurrogateJoiner()
        self._usage: Usage | None = None
        self._sources: dict[Kind, str] = {}
        """The type of event that each kind of words is taken from."""
        self._thought_part: object = None
        self._has_thought = False
        self._begun = BegunCalls()

    @property
    def is_complete(self) -> bool:
        """Return whether only token counts may still come: they come with the end itself."""
        return self.finished

    def end(self) -> list[Event]:
        """Take the end of the body."""
        if not self.is_over:
            is_nonsense = self.skipped and not self._has_said
            self.fault = Fault(FaultKind.PROTOCOL if is_nonsense else FaultKind.CUT)
        return []

    @property
    def _has_said(self) -> bool:
        return bool(self._size or self._calls)

    def _take(self, event: ServerSentEvent) -> list[Event]:
        name, data = event.name, event.data
        if name in (_TEXT_DELTA, "message") and self._sources.get("text") in (None, _TEXT_DELTA):
            try:
                return self._say("text", _decode_delta(data).delta, _TEXT_DELTA)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                # Another event, or not quite JSON: to read it takes longer.
                pass
        data = data.strip()
        if data == _DONE:
            return self._finish()
        if name == "error":
            raise from_late_error(data)
        try:
            value = decode(data)
        except UNREADABLE:
            if name == _COMPLETED and self._has_said:
                # What was lost is a repetition, and the token counts.
                return self._finish()
            if data:
                raise
            return []
        return self._take_value(name, value, data)

    def _take_value(self, name: str, value: object, data: bytes) -> list[Event]:
        fields = object_of(value)
        kind = string_of(fields.get("type")) or ("" if name == "message" else name)
        if kind == "error" or (not kind and fields.get("error")):
            raise from_late_error(data)
        if kind in _ENDS:
            return self._close(object_of(fields.get("response")), _ENDS[kind])
        if not kind and string_of(fields.get("status")) in _STATUSES:
            return self._close(fields, "")
        if kind in _WORDS:
            return self._take_words(kind, fields)
        if kind.startswith("response.function_call_arguments."):
            return self._take_arguments(kind, fields)
        if kind in (_ADDED, _ITEM_DONE):
            return self._take_item(kind, fields)
        self.skipped += not kind
        return []

    def _take_words(self, source: str, fields: Object) -> list[Event]:
        kind, field = _WORDS[source]
        words = fields.get(field)
        self.skipped += not isinstance(words, str)
        part = (fields.get("output_index"), fields.get("summary_index"))
        return self._say(kind, string_of(words), source, part)

    def _take_arguments(self, source: str, fields: Object) -> list[Event]:
        place, is_delta = self._begun.place_of(fields.get("item_id"), fields), source == _ARGUMENTS
        if not is_delta and self._begun.has_arguments(place):
            return []
        return self._call(arguments_of(fields.get("delta" if is_delta else "arguments"), place))

    def _take_item(self, source: str, fields: Object) -> list[Event]:
        item = object_of(fields.get("item"))
        if not is_call(item):
            # An item that was only added says nothing yet.
            return self._say_all([item], source) if source == _ITEM_DONE else []
        call = call_of(item)
        place = self._begun.known(call, item, fields, is_done=source == _ITEM_DONE)
        if place is None:
            return self._begin(call, item, fields)
        if self._begun.has_arguments(place):
            return []
        return self._call(arguments_of(item.get("arguments"), place))

    def _begin(self, call: Fragment, item: Object, fields: Object) -> list[Event]:
        place = self._begun.begin(call, item, fields)
        return self._call(msgspec.structs.replace(call, place=place))

    def _call(self, fragment: Fragment) -> list[Event]:
        self.begun = True
        self._begun.note(fragment)
        return [*self._calls.take([fragment])]

    def _say_all(self, items: Iterable[Object], source: str) -> list[Event]:
        said = [
            self._say(kind, words, source, (place, number))
            for place, item in enumerate(items)
            for number, (kind, words) in enumerate(words_of(item))
        ]
        return [event for events in said for event in events]

    def _say(self, kind: Kind, words: str, source: str, part: object = None) -> list[Event]:
        if not words or self._sources.setdefault(kind, source) != source:
            return []
        self.begun = True
        self._size += len(words)
        if self._size > self._max_size:
            raise Fault(FaultKind.PROTOCOL)
        if kind == "text":
            return _told(Text, self._text.join(words))
        if kind == "refusal":
            return _told(Refusal, self._refusal.join(words))
        if part != self._thought_part and self._has_thought:
            words = f"\n\n{words}"
        self._thought_part, self._has_thought = part, True
        return _told(Reasoning, self._thoughts.join(words))

    def _close(self, response: Object, ending: str) -> list[Event]:
        """Take the response at its end; `ending` counts where it does not say its own status."""
        status = string_of(response.get("status"))
        status = status if status in _STATUSES else ending
        if status not in ("completed", "incomplete"):
            raise from_late_error(error_of(response))
        items = items_of(response)
        events = self._say_all(items, _COMPLETED)
        events += self._say("text", string_of(response.get("output_text")), "output_text")
        for item in self._begun.missing([item for item in items if is_call(item)]):
            events += self._begin(call_of(item), item, {})
        self._usage = usage_of(response)
        if status == "incomplete":
            self._reason = cut_of(response) or (None if self._calls else "length")
        return [*events, *self._finish()]

    def _finish(self) -> list[Event]:
        events = [
            *_told(Reasoning, self._thoughts.rest()),
            *_told(Text, self._text.rest()),
            *_told(Refusal, self._refusal.rest()),
            *self._last_calls(),
        ]
        if self.skipped and not self._has_said:
            raise Fault(FaultKind.PROTOCOL)
        self.finished = True
        usage = [self._usage] if self._usage else []
        return [*events, *usage, Finished(self._finish_reason())]


def _told(event: Callable[[str], Event], words: str) -> list[Event]:
    return [event(words)] if words else []
