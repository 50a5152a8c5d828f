"""The JSON of a stream's events.

JSON is escaped to ASCII, since some clients decode each network read by itself and would halve a
character. No delta reaches 64 KiB, where the readers of some clients give up.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quote
from typing import Any, Literal

from gateway.dialect import Frame

_PIECE = 4_096
"""Characters of a delta. One takes at most 12 bytes: an escaped surrogate pair."""

Delta = Literal["text", "thinking", "signature", "input_json"]

_FIELDS: dict[Delta, str] = {"input_json": "partial_json"}
"""What deltas call their text, where it is not their own name."""


def event(name: str, **fields: Any) -> Frame:
    """Return an event of this type."""
    return Frame(compact({"type": name} | fields), name)


def deltas(kind: Delta, index: int, text: str) -> list[Frame]:
    """Return a text that continues the block of this index."""
    name = "content_block_delta"
    head = f'{{"type":"{name}","index":{index},"delta":{{"type":"{kind}_delta"'
    field = _FIELDS.get(kind, kind)
    # Cut before escaping: a cut between characters cannot part the halves of a surrogate pair.
    pieces = (text[i : i + _PIECE] for i in range(0, max(len(text), 1), _PIECE))
    return [Frame(f'{head},"{field}":{quote(piece)}}}}}', name) for piece in pieces]


def compact(value: object) -> str:
    """Return JSON without spaces, in ASCII."""
    return json.dumps(value, separators=(",", ":"))
