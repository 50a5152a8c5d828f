"""The calls about the ledger."""

from __future__ import annotations

from typing import Any, ClassVar

from contract.calls.call import Call, Word
from contract.codec import encode
from contract.ledger import Correction, LedgerRecord, decode_ledger_record

PAGE = 1000
"""Records that one call reads, which takes Redis a millisecond."""


class ReadLedger(Call[list[tuple[str, LedgerRecord]]], frozen=True):
    """Read `count` records behind the one with the id `after`; empty: from the first on.

    Returns each with its id, which begins with its Unix time in milliseconds. Reading the reply
    raises msgspec.DecodeError for a record that this version cannot read.
    """

    script: ClassVar[str] = "read_ledger"

    after: str = ""
    count: int = PAGE

    def arguments(self) -> list[Word]:
        return [self.after, self.count]

    def read(self, reply: Any) -> list[tuple[str, LedgerRecord]]:
        return [(id_.decode(), decode_ledger_record(record)) for id_, record in reply]


class Correct(Call[bool], frozen=True):
    """Note what Poe says of a call, by a row of its history. Returns whether that is new.

    What is spent of a budget never falls below 0.
    """

    script: ClassVar[str] = "correct"

    correction: Correction
    budgets: tuple[str, ...] = ()
    """The counters of the request: `Request.budgets`."""

    def arguments(self) -> list[Word]:
        made = self.correction
        return [made.query, made.points, encode(made), *self.budgets]

    def read(self, reply: Any) -> bool:
        return bool(reply)
