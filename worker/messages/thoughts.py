"""Thoughts of another model, which the one that a conversation has changed to does not take back.

Models sign their thoughts, and refuse what they have not signed; one that is to think also refuses
to go on after a call of a tool that no thoughts of its own precede. Without them, and without new
ones, the conversation goes on. This is said of one job, not of the model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from worker.poe.raw_json import Path, path_to
from worker.poe.refused import OF_JOB

FOREIGN: Path = (OF_JOB, "thoughts")
MISSING: Path = (OF_JOB, "thinking")

_BLOCKS: tuple[Path, ...] = (
    ("messages", "=", "content", "=thinking"),
    ("messages", "=", "content", "=redacted_thinking"),
)
_IS_FOREIGN = re.compile(
    r"(?P<place>messages\.\d+\.content\.\d+)"
    r"(?:: Invalid `(?:signature|data)` in |\.(?:redacted_)?thinking\.(?:signature|data): )"
).match
_IS_MISSING = re.compile(r"messages\.\d+\.content\.\d+(?:\.type)?: Expected `thinking`").match


def refused(body: bytes, message: str) -> Path | None:
    """Return what an error says of thoughts, if the request has some, or asks for some."""
    foreign, missing = _IS_FOREIGN(message), _IS_MISSING(message)
    if not (foreign or missing):
        return None
    request = msgspec.json.decode(body)
    if missing:
        return MISSING if request.get("thinking") else None
    found = path_to(request, foreign["place"]) if foreign else None
    return FOREIGN if found and found.path in _BLOCKS else None


def left_out(without: Collection[Path]) -> Iterator[Path]:
    """Return the paths in a request that these refusals stand for."""
    if FOREIGN in without:
        yield from _BLOCKS
    if MISSING in without:
        yield ("thinking",)
