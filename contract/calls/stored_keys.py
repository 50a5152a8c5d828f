"""The calls about stored keys: access tokens that are made, changed and removed at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from contract.calls.call import Call, Word, hash_of, milliseconds, words_of
from contract.stored_keys import StoredKey, stored_key

PAGE = 500
"""Keys that one call reads, which takes Redis some milliseconds."""


class Found(msgspec.Struct, frozen=True):
    """What Redis knows of the secret that a request presents."""

    is_any_made: bool
    """Whether a key was ever made, so that requests without one are refused."""
    key: StoredKey | None = None
    """The key whose secret it is, disabled and expired ones included."""


class FindKey(Call[Found], frozen=True):
    """Ask whose secret has this digest; an empty digest is nobody's.

    Reading the reply raises msgspec.ValidationError for a key that this version cannot read.
    """

    script: ClassVar[str] = "find_key"

    digest: str

    def arguments(self) -> list[Word]:
        return [self.digest]

    def read(self, reply: Any) -> Found:
        made, *found = reply
        return Found(bool(made), _key(*found) if found else None)


class ReadKeys(Call[list[StoredKey]], frozen=True):
    """Read `count` keys in the order in which they were made, after the first `start`."""

    script: ClassVar[str] = "read_keys"

    start: int = 0
    count: int = PAGE

    def arguments(self) -> list[Word]:
        return [self.start, self.count]

    def read(self, reply: Any) -> list[StoredKey]:
        return [_key(*found) for found in reply]


class ReadKey(Call[StoredKey | None], frozen=True):
    """Read the key that has this name or this id."""

    script: ClassVar[str] = "read_keys"

    reference: str

    def arguments(self) -> list[Word]:
        return ["", "", msgspec.json.encode(self.reference), self.reference]

    def read(self, reply: Any) -> StoredKey | None:
        return _key(*reply[0]) if reply else None


class AddKey(Call[bool], frozen=True):
    """Make a key. Returns whether there is none of the same name."""

    script: ClassVar[str] = "add_key"

    id: str
    digest: str
    fields: Mapping[str, bytes]
    """`name`, `created`, and the others that are not the default."""

    def arguments(self) -> list[Word]:
        return [self.id, self.digest, self.fields["name"], *words_of(self.fields)]

    def read(self, reply: Any) -> bool:
        return bool(reply)


class ChangeKey(Call[Literal["changed", "unknown", "name taken"]], frozen=True):
    """Set these fields of a key; an empty one gets its default."""

    script: ClassVar[str] = "change_key"

    id: str
    fields: Mapping[str, bytes]

    def arguments(self) -> list[Word]:
        return [self.id, self.fields.get("name", b""), *words_of(self.fields)]

    def read(self, reply: Any) -> Literal["changed", "unknown", "name taken"]:
        if reply < 0:
            return "name taken"
        return "changed" if reply else "unknown"


class RotateKey(Call[bool], frozen=True):
    """Give a key another secret. Returns whether there is such a key."""

    script: ClassVar[str] = "rotate_key"

    id: str
    digest: str
    grace: float
    """Seconds for which the secrets that it has now stay valid."""

    def arguments(self) -> list[Word]:
        return [self.id, self.digest, milliseconds(self.grace)]

    def read(self, reply: Any) -> bool:
        return bool(reply)


class RemoveKey(Call[bool], frozen=True):
    """Delete a key. Returns whether there was such a key."""

    script: ClassVar[str] = "remove_key"

    id: str

    def arguments(self) -> list[Word]:
        return [self.id]

    def read(self, reply: Any) -> bool:
        return bool(reply)


def _key(id_: bytes, fields: Sequence[bytes], retiring: Sequence[int] = ()) -> StoredKey:
    return stored_key(id_.decode(), hash_of(fields), [at / 1000 for at in retiring])
