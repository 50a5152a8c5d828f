"""Where a client is in an answer that it may come back to: the ids of its chunks.

An id is a place in the log, `<epoch>-<seq>`, and stands for all chunks of that record; one of
several chunks of a record but its last has `.<number>` behind it. An answer of several choices has
a place for each, with commas between, `0` where nothing of a choice has come.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from contract.messages import Record
from gateway.openai.errors import ApiError, invalid_idempotency_key, invalid_request

MAX_KEY = 255
"""Characters of an idempotency key."""

Place = tuple[int, int, int]
"""Epoch and sequence number of a record, and how many of its chunks; 0: all."""

START: Place = (0, 0, 0)

_PLACE = re.compile(r"(\d{1,10})-(\d{1,15})(?:\.(\d{1,9}))?", re.ASCII)


def idempotency_key(given: str) -> str:
    """Return the name in Redis of a client's idempotency key. Raises ApiError (400)."""
    if not 1 <= len(given) <= MAX_KEY or not (given.isascii() and given.isprintable()):
        raise invalid_idempotency_key()
    # A client may put anything there, secrets included.
    return sha256(given.encode()).hexdigest()[:32]


def places(event_id: str, choices: int) -> list[Place]:
    """Read the id of the last chunk that a client has; `0` is before the first.

    Raises ApiError (400).
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
    """Gives the chunks of one answer their ids, and leaves out those that the client has."""

    def __init__(self, seen: Sequence[Place]) -> None:
        self._seen = seen
        self._at = ["0"] * len(seen)

    @property
    def is_at_start(self) -> bool:
        """Tell whether the client has nothing yet."""
        return all(place == START for place in self._seen)

    def number(self, choice: int, record: Record, count: int) -> list[str | None]:
        """Return the ids of a record's chunks, None for each that the client has."""
        ids: list[str | None] = []
        for chunk in range(1, count + 1):
            number = 0 if chunk == count else chunk
            place = f"{record.epoch}-{record.seq}"
            self._at[choice] = f"{place}.{number}" if number else place
            seen = self._has(choice, record, chunk)
            ids.append(None if seen else ",".join(self._at))
        return ids

    def _has(self, choice: int, record: Record, chunk: int) -> bool:
        epoch, seq, chunks = self._seen[choice]
        if (record.epoch, record.seq) == (epoch, seq):
            return chunks == 0 or chunk <= chunks
        return (record.epoch, record.seq) < (epoch, seq)


def unknown_event_id() -> ApiError:
    """400: to go on from there would be to leave out, or to mix, answers."""
    return invalid_request(
        "The header Last-Event-ID must be an `event_id` of this answer while it is kept, or 0 for"
        " its start.",
        code="invalid_event_id",
    )


def refusal_of(event_id: str) -> ApiError:
    """400: an answer can be continued only where its request has a name."""
    return invalid_request(
        f"The header Last-Event-ID ({event_id[:32]!r}) needs the Idempotency-Key of the request"
        " that it continues.",
        code="missing_idempotency_key",
    )
