"""Reads a stream of Anthropic's events, which pass as they are, and follows what they say.

    message_start           is held back until something of the answer comes, so that a failure
                            before that can still be asked again
    content_block_start     opens a block; one of text or thoughts that is empty is held back too
    content_block_delta     more of an open block; halves of emoji in two of them are joined
    content_block_stop      closes a block; a second one for the same block is skipped
    message_delta           the stop reason, and token counts; closes first what is still open
    message_stop            the end
    ping                    is dropped: the gateway sends its own
    error                   the end, in the shape of Anthropic's errors; behind a stop reason the
                            answer is whole all the same
    any other type          passes as it is
    end of the body         the end if a stop reason was told; else a cut
    what is no event        is skipped and counted, but fails the answer amid a tool call

A delta for a block that is not open, a call whose arguments do not end although the answer was not
cut, and more behind their end fail the answer: nothing of doubt is run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

import msgspec

from contract.messages import Event, Finished, FinishReason, Usage, Verbatim
from worker.messages.blocks import Blocks
from worker.poe.errors import from_late_error
from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import count_of, decode, object_of, parse, string_of
from worker.poe.reader import AnswerReader
from worker.poe.sse import ServerSentEvent

MAX_SIZE = 32 * 1024 * 1024
"""Bytes of all events of one answer: results of searches, encrypted, come with each of them."""

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CUT_SHORT = ("length", "content_filter")

_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""The deltas that can be cut amid a character, and their fields."""

_HOLDS: dict[str, Literal["text", "thought", "call"]] = {
    "text": "text",
    "thinking": "thought",
    "partial_json": "call",
}
_EMPTY = ("text", "thinking")
"""Types of blocks that begin empty, and the fields that show it."""

_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class _Delta(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None


class _DeltaEvent(msgspec.Struct, gc=False, tag="content_block_delta"):
    index: int
    delta: _Delta


_decode_delta = msgspec.json.Decoder(_DeltaEvent).decode


class MessagesReader(AnswerReader):
    """An answer over Poe's Anthropic API."""

    def __init__(self, tools: Collection[str] = (), max_size: int = MAX_SIZE) -> None:
        super().__init__(tools)
        self._max_size = max_size
        self._size = 0
        self._is_started = False
        self._is_told = False
        """Whether something has been returned."""
        self._held: list[Event] = []
        self._blocks = Blocks()
        self._counts: dict[str, int] = {}

    @property
    def is_complete(self) -> bool:
        """Return whether only the end of the message may still come."""
        return self._reason is not None

    def end(self) -> list[Event]:
        """Take the end of the body."""
        if self.is_over:
            return []
        if self.is_complete:
            return self._finish(_made("message_stop"))
        is_nonsense = self.skipped and not self._is_started
        self.fault = Fault(FaultKind.PROTOCOL if is_nonsense else FaultKind.CUT)
        return []

    def _take(self, event: ServerSentEvent) -> list[Event]:
        self._size += len(event.data)
        if self._size > self._max_size:
            raise Fault(FaultKind.PROTOCOL)
        if event.name == "content_block_delta":
            try:
                return self._take_delta(_decode_delta(event.data), _line(event.data))
            except (msgspec.DecodeError, UnicodeError):
                pass
        return self._take_any(event)

    def _skip(self, event: ServerSentEvent) -> None:
        super()._skip(event)
        if self._blocks.is_call_open:
            self.fault = Fault(FaultKind.PROTOCOL)

    def _take_any(self, event: ServerSentEvent) -> list[Event]:
        """Take an event of any kind, or one that has to be mended."""
        if not event.data.strip():
            return []
        try:
            fields, line = object_of(msgspec.json.decode(event.data)), _line(event.data)
        except (msgspec.DecodeError, UnicodeError):
            fields = object_of(decode(event.data))
            line = msgspec.json.encode(parse(event.data)).decode()
        kind = string_of(fields.get("type"))
        if "error" in (event.name, kind) or (not kind and fields.get("error")):
            return self._take_error(event.data)
        if not kind:
            raise ValueError("this is no event")
        return self._take_kind(event.name, kind, fields, line)

    def _take_kind(self, name: str, kind: str, fields: dict[str, object], line: str) -> list[Event]:
        if kind in _TAKERS:
            return _TAKERS[kind](self, fields, line)
        if not self._is_started:
            self.skipped += 1
            return []
        is_misnamed = name == "message" or name in _TAKERS
        return self._tell(Verbatim(kind if is_misnamed else name, line))

    def _take_error(self, data: bytes) -> list[Event]:
        if self.is_complete:
            return self._finish(_made("message_stop"))
        raise from_late_error(data)

    def _start(self, fields: dict[str, object], line: str) -> list[Event]:
        message = fields.get("message")
        if self._is_started or not isinstance(message, dict):
            raise ValueError("this is no beginning")
        self._is_started = True
        self._count(message.get("usage"))
        return self._hold(Verbatim("message_start", line))

    def _open(self, fields: dict[str, object], line: str) -> list[Event]:
        self._check_started()
        content = object_of(fields.get("content_block"))
        block = self._blocks.start(fields.get("index"), content.get("type"))
        told = Verbatim("content_block_start", line, "call" if block.is_call else "")
        if block.is_call and content.get("input"):
            # All of the arguments at once.
            block.add_arguments("{}")
        is_empty = block.kind in _EMPTY and not any(content.get(name) for name in _EMPTY)
        return self._hold(told) if is_empty else self._tell(told)

    def _take_delta(self, event: _DeltaEvent, line: str) -> list[Event]:
        block, delta = self._blocks.at(event.index), event.delta
        field = _TEXTS.get(delta.type)
        if field is None:
            return self._tell(Verbatim("content_block_delta", line))
        piece: str | None = getattr(delta, field)
        if piece is None:
            raise ValueError("this delta adds nothing")
        text = block.halves.join(piece)
        self.begun = self.begun or bool(piece)
        if delta.type == "input_json_delta":
            block.add_arguments(text)
        if text != piece:
            return self._tell(_text(event.index, delta.type, text)) if text else []
        told = Verbatim("content_block_delta", line, _HOLDS[field])
        return self._tell(told) if text else self._hold(told)

    def _close(self, index: object, line: str) -> list[Event]:
        if not isinstance(index, int) or index not in self._blocks.open:
            raise ValueError("no such block is open")
        told: list[Event] = []
        block = self._blocks.open[index]
        if rest := block.halves.rest():
            block.add_arguments(rest)
            told = self._tell(_text(index, block.text_delta, rest))
        self._blocks.stop(index)
        return [*told, *self._hold(Verbatim("content_block_stop", line))]

    def _take_end(self, fields: dict[str, object], line: str) -> list[Event]:
        """Take a `message_delta`."""
        self._check_started()
        delta = fields.get("delta")
        if not isinstance(delta, dict) or not isinstance(delta.get("stop_reason"), str | None):
            raise ValueError("this is no end")  # noqa: TRY004  # it is to be skipped
        reason = delta.get("stop_reason")
        self._count(fields.get("usage"))
        told: list[Event] = []
        if reason:
            meaning = _REASONS.get(reason, "stop")
            told = self._close_all(meaning)
            self._reason = meaning
        return [*told, *self._tell(Verbatim("message_delta", line))]

    def _close_all(self, reason: FinishReason) -> list[Event]:
        """Close what is open, because the answer ends. Raises Fault for calls that are in doubt."""
        told: list[Event] = []
        for index in list(self._blocks.open):
            told += self._close(index, _made("content_block_stop", index=index).data)
        is_lost = reason == "tool_calls" and not self._blocks.has_calls and self.skipped
        if is_lost or not (self._blocks.are_whole or reason in _CUT_SHORT):
            raise Fault(FaultKind.PROTOCOL)
        return told

    def _finish(self, last: Verbatim) -> list[Event]:
        self._check_started()
        told = self._close_all(self._reason or "stop")
        if self._reason is None:
            reason = "tool_use" if self._blocks.has_calls else "end_turn"
            self._reason = _REASONS[reason]
            delta, usage = {"stop_reason": reason}, self._counts
            told += self._tell(_made("message_delta", delta=delta, usage=usage))
        told += self._tell(last)
        self.finished = True
        return [*told, *self._usage(), Finished(self._reason)]

    def _check_started(self) -> None:
        if not self._is_started:
            raise Fault(FaultKind.PROTOCOL)

    def _hold(self, event: Event) -> list[Event]:
        """Return the event once something of the answer has been told; until then it waits."""
        if self._is_told:
            return [event]
        self._held.append(event)
        return []

    def _tell(self, event: Event) -> list[Event]:
        held, self._held, self._is_told = self._held, [], True
        return [*held, event]

    def _count(self, usage: object) -> None:
        counts = {name: count_of(value) for name, value in object_of(usage).items()}
        self._counts |= {name: count for name, count in counts.items() if count is not None}

    def _usage(self) -> list[Event]:
        if "output_tokens" not in self._counts:
            return []
        prompt = sum(self._counts.get(name, 0) for name in _INPUT_COUNTS)
        return [
            Usage(
                prompt,
                self._counts["output_tokens"],
                cached_tokens=self._counts.get("cache_read_input_tokens"),
                written_tokens=self._counts.get("cache_creation_input_tokens"),
            )
        ]


_TAKERS: dict[str, Callable[[MessagesReader, dict[str, object], str], list[Event]]] = {
    "ping": lambda _reader, _fields, _line: [],
    "message_start": MessagesReader._start,
    "content_block_start": MessagesReader._open,
    "content_block_delta": lambda reader, fields, line: reader._take_delta(_delta_of(fields), line),
    "content_block_stop": lambda reader, fields, line: reader._close(fields.get("index"), line),
    "message_delta": MessagesReader._take_end,
    "message_stop": lambda reader, _fields, line: reader._finish(Verbatim("message_stop", line)),
}


def _line(data: bytes) -> str:
    """Return JSON on one line: line feeds can only stand between its tokens."""
    text = data.decode()
    return text.replace("\n", " ") if "\n" in text else text


def _delta_of(fields: dict[str, object]) -> _DeltaEvent:
    try:
        return msgspec.convert(fields, _DeltaEvent)
    except msgspec.ValidationError as error:
        raise ValueError("this is no delta") from error


def _made(name: str, **fields: object) -> Verbatim:
    """Return an event that the upstream has left out."""
    return Verbatim(name, msgspec.json.encode({"type": name, **fields}).decode())


def _text(index: int, kind: str, text: str) -> Verbatim:
    """Return a delta that was not sound as it came."""
    field = _TEXTS[kind]
    made = _made("content_block_delta", index=index, delta={"type": kind, field: text})
    return msgspec.structs.replace(made, holds=_HOLDS[field])
