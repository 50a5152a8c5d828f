"""The JSON of a stream's events, numbered.

JSON is escaped to ASCII, since some clients decode each network read by itself and would halve a
character. No delta reaches 64 KiB, where aiohttp's reader gives up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Any, NamedTuple

from gateway.dialect import Frame

_PIECE = 4_096
"""Characters of a delta. One takes at most 12 bytes: an escaped surrogate pair."""


class Event(NamedTuple):
    """One event, without its number."""

    type: str
    fields: Mapping[str, Any]


class Deltas(NamedTuple):
    """How the pieces of one text are told: constant in a stream, so rendered once."""

    type: str
    opening: str
    closing: str = ""

    @classmethod
    def at(cls, event: str, place: Mapping[str, Any], **after: Any) -> Deltas:
        """Return deltas of this type at this place; `after` are fields that go behind."""
        opening = f'{{"type":"{event}",{compact(place)[1:-1]},"delta":'
        return cls(event, opening, f",{compact(after)[1:-1]}" if after else "")


class Numbering:
    """Numbers the events of one stream without a gap."""

    def __init__(self, first: int = 0) -> None:
        self._next = first

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self._next - 1

    def frame(self, event: Event) -> Frame:
        """Return the next event."""
        return self.raw(event.type, compact(event.fields)[1:-1])

    def raw(self, event: str, members: str) -> Frame:
        """Return the next event, whose fields are rendered already."""
        number, self._next = self._next, self._next + 1
        return Frame(f'{{"type":"{event}",{members},"sequence_number":{number}}}', event)

    def deltas(self, deltas: Deltas, text: str) -> list[Frame]:
        """Return a text as the next deltas."""
        frames = []
        # Cut before escaping: a cut between characters cannot part the halves of a surrogate pair.
        for i in range(0, len(text), _PIECE):
            number, self._next = self._next, self._next + 1
            piece = quote(text[i : i + _PIECE])
            data = f'{deltas.opening}{piece}{deltas.closing},"sequence_number":{number}}}'
            frames.append(Frame(data, deltas.type))
        return frames


def compact(value: object) -> str:
    """Return JSON without spaces, in ASCII."""
    return json.dumps(value, separators=(",", ":"))
