"""The calls about Poe tokens that are added, parked and removed at run time."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from contract.calls.call import Call, Word, hash_of, milliseconds
from contract.stored_tokens import StoredToken


class Listed(msgspec.Struct, frozen=True):
    """The stored tokens of a version."""

    version: str
    tokens: dict[str, StoredToken] | None
    """By their ids; None: the version is the one that was known."""
    unreadable: tuple[str, ...] = ()
    """The ids of those that another version has written in a way that we cannot read."""


class ReadTokens(Call[Listed], frozen=True):
    """Read the stored tokens, unless nothing has changed since this version.

    `0` is the version in which there never was one.
    """

    script: ClassVar[str] = "read_tokens"

    version: str = ""

    def arguments(self) -> list[Word]:
        return [self.version]

    def read(self, reply: Any) -> Listed:
        version, *rows = reply
        if not rows:
            return Listed(version.decode(), None)
        tokens, unreadable = {}, []
        for id_, record in hash_of(rows[0]).items():
            try:
                tokens[id_] = msgspec.json.decode(record, type=StoredToken)
            except msgspec.DecodeError:
                unreadable.append(id_)
        return Listed(version.decode(), tokens, tuple(unreadable))


class AddToken(Call[bool], frozen=True):
    """Add a token, or replace the one of this id. Returns whether it is new."""

    script: ClassVar[str] = "add_token"

    id: str
    token: StoredToken

    def arguments(self) -> list[Word]:
        return [self.id, msgspec.json.encode(self.token)]

    def read(self, reply: Any) -> bool:
        return bool(reply)


class RemoveToken(Call[bool], frozen=True):
    """Forget a token that was added. Returns whether there was one."""

    script: ClassVar[str] = "remove_token"

    id: str

    def arguments(self) -> list[Word]:
        return [self.id]

    def read(self, reply: Any) -> bool:
        return bool(reply)


class HoldToken(Call[None], frozen=True):
    """Set a token aside for `seconds`, or without an end; or let it be used again."""

    script: ClassVar[str] = "hold_token"

    id: str
    seconds: float | None = None
    """None: until it is let go."""
    release: bool = False

    def arguments(self) -> list[Word]:
        return [self.id, -1 if self.release else milliseconds(self.seconds or 0)]

    def read(self, reply: Any) -> None:
        """There is nothing to read."""
