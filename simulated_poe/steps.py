"""An answer as a sequence of steps, and their encoding in Poe's bot protocol.

Bots yield any step; only `Raw`, `Sleep`, `Cut` and `Status` are played to a client.
Event names and data are those of creator.poe.com/docs/poe-protocol-specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import orjson

from simulated_poe import chunks


class Text(msgspec.Struct, frozen=True):
    """More text of the answer; with `replaces`, the whole text so far, replacing what was sent."""

    text: str
    replaces: bool = False


class Thought(msgspec.Struct, frozen=True):
    """More of a model's reasoning, separate from its answer; /v1 only."""

    text: str


class Call(msgspec.Struct, frozen=True):
    """A tool call; `arguments` are JSON, or deliberately invalid."""

    index: int
    id: str
    name: str
    arguments: str


class End(msgspec.Struct, frozen=True):
    """Why the answer ends, where the protocol can say so."""

    reason: Literal["stop", "length", "tool_calls"]
    stop: str = ""
    """The stop sequence that ends it, if one does."""


class Event(msgspec.Struct, frozen=True):
    """Any event; `data` becomes JSON."""

    name: str
    data: Any


class Sleep(msgspec.Struct, frozen=True):
    """Seconds to wait since the previous wait was due to end, so that the pace holds under load."""

    seconds: float


class Cut(msgspec.Struct, frozen=True):
    """Drop the connection."""


class Status(msgspec.Struct, frozen=True):
    """A whole HTTP response; only possible before anything is written."""

    status: int
    body: Any = b""
    """Bytes and text are sent as they are, anything else as JSON."""
    headers: dict[str, str] = {}


class Raw(msgspec.Struct, frozen=True):
    """Bytes of a stream, exactly."""

    data: bytes
    characters: int = 0
    last: bool = False
    """Whether the client may stop reading."""
    failed: bool = False


Step = Text | Thought | Call | End | Event | Sleep | Cut | Status | Raw
Played = Sleep | Cut | Status | Raw

DONE = Event("done", {})
META = Event("meta", {"content_type": "text/markdown", "suggested_replies": False})


def pieces(text: str, size: int = 5) -> Iterator[Text]:
    """Split a text into steps of `size` characters."""
    return (Text(text[start : start + size]) for start in range(0, len(text), size))


def encode(
    steps: Iterable[Step],
    line_end: Literal["crlf", "lf"] = "crlf",
    head: chunks.Head | None = None,
    *,
    plain: bool = False,
) -> Iterator[Played]:
    """Encode an answer in the bot protocol.

    With a `head`, text and tool calls are OpenAI chunks in `json` events, as from a bot that
    supports tools and was given some. With `plain`, text stays in `text` events.
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
    sent: list[str] = []
    for step in steps:
        match step:
            case Text(text, replaces=False):
                sent.append(text)
                if plain:
                    yield step
                    continue
                delta = {"content": text} if begun else {"role": "assistant", "content": text}
                yield Event("json", chunks.chunk(head, delta))
                begun = True
            case Call(index, identifier, name, arguments):
                sent.append(f" {arguments} ")
                for delta in chunks.call_deltas(index, identifier, name, arguments, nulls=True):
                    yield Event("json", chunks.chunk(head, delta))
            case End(asked):
                reason = asked
            case Event("done"):
                yield Event("json", chunks.chunk(head, {}, reason))
                yield Event("json", chunks.usage_chunk(head, len("".join(sent).split())))
                yield step
            case _:
                yield step


def _event(name: str, data: Any, end: bytes) -> bytes:
    return b"event: %b%bdata: %b%b%b" % (name.encode(), end, orjson.dumps(data), end, end)
