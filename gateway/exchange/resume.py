"""Where a client is in an answer that it may resume: the ids of its frames.

An id is a place in the log, `<epoch>-<seq>`, and stands for all frames of that record; one of
several frames of a record but its last has `.<number>` appended. An answer of several choices has
a place for each, with commas between, `0` where nothing of a choice has come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from contract.messages import Record
from gateway.problems import Problem, invalid_request

Place = tuple[int, int, int]
"""Epoch and sequence number of a record, and how many of its frames; 0: all."""

START: Place = (0, 0, 0)

_PLACE = re.compile(r"(\d{1,10})-(\d{1,15})(?:\.(\d{1,9}))?", re.ASCII)


def beyond_start(place: Place) -> bool:
    """Return whether a client at this place has a record."""
    return place[:2] != START[:2]


def places(event_id: str, choices: int) -> list[Place]:
    """Read the id of the last frame that a client has; `0` is before the first.

    Raises Problem.
    """
    parts = event_id.split(",")
    found = [_place(part.strip()) for part in parts]
    if found == [START]:
        found = [START] * choices
    if len(found) != choices or None in found:
        raise unknown_event_id()
    return [place for place in found if place]


def _place(text: str) -> Place | None:
    if text == "0":
        return START
    match = _PLACE.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


class Cursor:
    """Gives the frames of one answer their ids, and leaves out those that the client has."""

    def __init__(self, seen: Sequence[Place]) -> None:
        self._seen = seen
        self._at = ["0"] * len(seen)

    @property
    def is_at_start(self) -> bool:
        """Return whether the client has nothing yet."""
        return all(place == START for place in self._seen)

    def number(self, choice: int, record: Record, count: int) -> list[str | None]:
        """Return the ids of a record's `count` frames, None for each that the client has."""
        ids: list[str | None] = []
        for frame in range(1, count + 1):
            number = 0 if frame == count else frame
            place = f"{record.epoch}-{record.seq}"
            self._at[choice] = f"{place}.{number}" if number else place
            seen = self._has(choice, record, frame)
            ids.append(None if seen else ",".join(self._at))
        return ids

    def _has(self, choice: int, record: Record, frame: int) -> bool:
        epoch, seq, frames = self._seen[choice]
        if (record.epoch, record.seq) == (epoch, seq):
            return frames == 0 or frame <= frames
        return (record.epoch, record.seq) < (epoch, seq)


def unknown_event_id() -> Problem:
    """To go on from there would leave out a part of the answer, or mix two."""
    return invalid_request(
        "The header Last-Event-ID must be an `event_id` of this answer while it is kept, or 0 for"
        " its start.",
        code="invalid_event_id",
    )


def refusal_of(event_id: str) -> Problem:
    """An answer can be resumed only where its request has a name."""
    return invalid_request(
        f"The header Last-Event-ID ({event_id[:32]!r}) needs the Idempotency-Key of the request"
        " that it continues.",
        code="missing_idempotency_key",
    )
