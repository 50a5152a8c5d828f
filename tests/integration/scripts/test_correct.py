"""correct: each row of Poe's points history is in the ledger once."""

from __future__ import annotations

import msgspec

from contract.calls.ledger import Correct, ReadLedger
from contract.ledger import Correction
from tests.support.keys import keys
from tests.support.scripts import Scripts

DAY = 86_400_000


def test_a_row_is_noted_once(scripts: Scripts) -> None:
    row = Correction(job="j", client="ann", points=-3, query="q1", at=1)

    assert scripts.run(Correct(row)) is True
    assert scripts.run(Correct(row)) is False
    assert scripts.run(Correct(msgspec.structs.replace(row, job="other"))) is False
    other = msgspec.structs.replace(row, query="q2", points=0)
    assert scripts.run(Correct(other)) is True

    assert [record for _, record in scripts.run(ReadLedger())] == [row, other]


def test_a_row_is_known_for_longer_than_poe_has_it(scripts: Scripts) -> None:
    scripts.run(Correct(Correction(job="j", query="old")))
    scripts.now += 31 * DAY
    assert scripts.run(Correct(Correction(job="j", query="old"))) is False
    scripts.now += 15 * DAY

    scripts.run(Correct(Correction(job="j", query="new")))

    assert scripts.redis.zrange(keys.corrected, 0, -1) == [b"new"]
