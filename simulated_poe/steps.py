"""An answer as a sequence of steps, and how Poe's bot protocol writes them.

Bots speak in all steps; what is played to a client are only `Raw`, `Sleep`, `Cut` and `Status`.
Event names and data are those of creator.poe.com/docs/poe-protocol-specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import orjson

from simulated_poe import chunks


class Text(msgspec.Struct, frozen=True):
    """More of the answer, or with `replaces` all of it anew."""

    text: str
    replaces: bool = False


class Thought(msgspec.Struct, frozen=True):
    """More of what a model thinks, apart from its answer; /v1 only."""

    text: str


class Call(msgspec.Struct, frozen=True):
    """A tool call; `arguments` are JSON, or meant not to be."""

    index: int
    id: str
    name: str
    arguments: str


class End(msgspec.Struct, frozen=True):
    """Why the answer ends, where that can be told."""

    reason: Literal["stop", "length", "tool_calls"]


class Event(msgspec.Struct, frozen=True):
    """Any event; `data` becomes JSON."""

    name: str
    data: Any


class Sleep(msgspec.Struct, frozen=True):
    """Seconds to wait, counted from when the last wait should have ended: pace holds under load."""

    seconds: float


class Cut(msgspec.Struct, frozen=True):
    """Drop the connection."""


class Status(msgspec.Struct, frozen=True):
    """A whole HTTP answer; possible only as long as nothing has been written."""

    status: int
    body: Any = b""
    """Bytes and text go as they are, anything else as JSON."""
    headers: dict[str, str] = {}


class Raw(msgspec.Struct, frozen=True):
    """Bytes of a stream, exactly."""

    data: bytes
    characters: int = 0
    last: bool = False
    """The client need not read on."""
    failed: bool = False


Step = Text | Thought | Call | End | Event | Sleep | Cut | Status | Raw
Played = Sleep | Cut | Status | Raw

DONE = Event("done", {})
META = Event("meta", {"content_type": "text/markdown", "suggested_replies": False})


def pieces(text: str, size: int = 5) -> Iterator[Text]:
    """Cut a text into steps of so many characters."""
    return (Text(text[start : start + size]) for start in range(0, len(text), size))


def encode(
    steps: Iterable[Step],
    line_end: Literal["crlf", "lf"] = "crlf",
    head: chunks.Head | None = None,
    *,
    plain: bool = False,
) -> Iterator[Played]:
    """Write an answer as the bot protocol does.

    With a `head`, text and tool calls are chunks of OpenAI's in `json` events: so a bot answers
    that takes tools and has been given some. With `plain`, text stays in `text` events.
    """
    end = b"\r\n" if line_end == "crlf" else b"\n"
    for step in _chunked(steps, head, plain) if head else steps:
        match step:
            case Text(text, replaces):
                name = "replace_response" if replaces else "text"
                yield Raw(_event(name, {"text": text}, end), len(text))
            case Event(name, data):
                last = name in ("done", "error")
                yield Raw(_event(name, data, end), 0, last, name == "error")
            case Thought() | Call() | End():
                pass
            case _:
                yield step


def _chunked(steps: Iterable[Step], head: chunks.Head, plain: bool) -> Iterator[Step]:
    reason, begun = "stop", False
    told: list[str] = []
    for step in steps:
        match step:
            case Text(text, replaces=False):
                told.append(text)
                if plain:
                    yield step
                    continue
                delta = {"content": text} if begun else {"role": "assistant", "content": text}
                yield Event("json", chunks.chunk(head, delta))
                begun = True
            case Call(index, identifier, name, arguments):
                told.append(f" {arguments} ")
                for delta in chunks.call_deltas(index, identifier, name, arguments, nulls=True):
                    yield Event("json", chunks.chunk(head, delta))
            case End(asked):
                reason = asked
            case Event("done"):
                yield Event("json", chunks.chunk(head, {}, reason))
                yield Event("json", chunks.usage_chunk(head, len("".join(told).split())))
                yield step
            case _:
                yield step


def _event(name: str, data: Any, end: bytes) -> bytes:
    return b"event: %b%bdata: %b%b%b" % (name.encode(), end, orjson.dumps(data), end, end)
