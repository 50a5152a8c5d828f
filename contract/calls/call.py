"""What all calls have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

Word = bytes | str | int | float
"""What a command to Redis is made of."""

R = TypeVar("R")


class Call(msgspec.Struct, Generic[R], frozen=True):
    """A call of one script, whose reply is read as an `R`."""

    script: ClassVar[str]
    """The name of its file in `lua/`."""

    def arguments(self) -> list[Word]:
        """Return the script's ARGV, but for the first, which is always the time."""
        raise NotImplementedError

    def read(self, reply: Any) -> R:
        """Return what the script's reply means."""
        raise NotImplementedError


def words_of(pairs: Mapping[str, Word]) -> list[Word]:
    """Return names and values in turn, as a command takes them."""
    return [word for pair in pairs.items() for word in pair]


def hash_of(reply: Sequence[bytes]) -> dict[str, bytes]:
    """Return the hash that a reply lists, names and values in turn."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def milliseconds(seconds: float) -> int:
    """Return a duration as Redis takes it."""
    return round(seconds * 1000)
