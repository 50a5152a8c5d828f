"""The call of those who reconcile the ledger with Poe's points history."""

from __future__ import annotations

from typing import Any, ClassVar

from contract.calls.call import Call, Word, milliseconds

PAGE = 500
"""Records that one call reads, which takes Redis about a millisecond."""


class Distribute(Call[bool], frozen=True):
    """Hand the next requests of the ledger to those who look for them; return whether there may be
    more.

    Requests that ended more than `life` seconds ago are left out.
    """

    script: ClassVar[str] = "distribute"

    life: float
    count: int = PAGE

    def arguments(self) -> list[Word]:
        return [self.count, milliseconds(self.life)]

    def read(self, reply: Any) -> bool:
        return int(reply) == self.count
