"""An answer as a sequence of steps, and how Poe's bot protocol writes them.

Bots speak in all steps; what is played to a client are only `Raw`, `Sleep`, `Cut` and `Status`.
Event names and data are those of creator.poe.com/docs/poe-protocol-specification.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import orjson


class Text(msgspec.Struct, frozen=True):
    """More of the answer, or with `replaces` all of it anew."""

    text: str
    replaces: bool = False


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


Step = Text | Event | Sleep | Cut | Status | Raw
Played = Sleep | Cut | Status | Raw

DONE = Event("done", {})
META = Event("meta", {"content_type": "text/markdown", "suggested_replies": False})


def encode(steps: Iterable[Step], line_end: Literal["crlf", "lf"] = "crlf") -> Iterator[Played]:
    """Write an answer as the bot protocol does."""
    end = b"\r\n" if line_end == "crlf" else b"\n"
    for step in steps:
        match step:
            case Text(text, replaces):
                name = "replace_response" if replaces else "text"
                yield Raw(_event(name, {"text": text}, end), len(text))
            case Event(name, data):
                last = name in ("done", "error")
                yield Raw(_event(name, data, end), 0, last, name == "error")
            case _:
                yield step


def _event(name: str, data: Any, end: bytes) -> bytes:
    return b"event: %b%bdata: %b%b%b" % (name.encode(), end, orjson.dumps(data), end, end)
