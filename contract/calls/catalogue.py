"""The call of those who list the upstream's models, and neither serve nor fetch them."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from contract.calls.call import Call, Word
from contract.codec import decode_catalogue
from contract.messages import Catalogue


class Listing(msgspec.Struct, frozen=True):
    """The models of a version."""

    version: bytes
    catalogue: Catalogue | None
    """None: the version is the one that was known, or there are no models that we can read."""
    is_new: bool


class ReadCatalogue(Call[Listing], frozen=True):
    """Read the upstream's models, unless nothing has changed since this version."""

    script: ClassVar[str] = "read_catalogue"

    version: bytes = b"-"

    def arguments(self) -> list[Word]:
        return [self.version]

    def read(self, reply: Any) -> Listing:
        version, *found = reply
        try:
            catalogue = decode_catalogue(found[0]) if found and found[0] else None
        except msgspec.DecodeError:
            catalogue = None
        return Listing(version, catalogue, bool(found))
