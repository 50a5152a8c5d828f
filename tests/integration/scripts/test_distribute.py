"""distribute: the ledger's requests go to those who look for them in Poe's points history."""

from __future__ import annotations

import msgspec

from contract.calls.reconciliation import Distribute
from contract.ledger import Correction, LedgerRecord, Request
from tests.support.keys import keys
from tests.support.scripts import START, Scripts

LIFE = 86_400.0


def note(scripts: Scripts, record: LedgerRecord) -> None:
    scripts.redis.xadd(keys.ledger, {"r": msgspec.msgpack.encode(record)})


def request(job: str, **fields: object) -> Request:
    known = {"account": "team-0a", "asked": START - 5000, "sent": START - 4000, "duration": 3000}
    return msgspec.structs.replace(Request(job=job, client="ann"), **(known | fields))


def waiting(scripts: Scripts, label: str = "team-0a") -> list[str]:
    entries = scripts.redis.lrange(keys.unreconciled(label), 0, -1)
    return [msgspec.msgpack.decode(entry, type=Request).job for entry in entries]


def test_each_request_goes_to_its_account_once(scripts: Scripts) -> None:
    note(scripts, request("a"))
    note(scripts, request("b", account="other-1b"))
    scripts.run(Distribute(LIFE))
    note(scripts, request("c"))

    scripts.run(Distribute(LIFE))
    scripts.run(Distribute(LIFE))

    assert waiting(scripts) == ["a", "c"]
    assert waiting(scripts, "other-1b") == ["b"]


def test_what_was_never_sent_and_what_is_no_request_is_left_out(scripts: Scripts) -> None:
    note(scripts, request("unsent", sent=0))
    note(scripts, request("nobody's", account=""))
    note(scripts, Correction(job="a", account="team-0a", query="q"))
    note(scripts, request("old", asked=START - 86_404_000))
    note(scripts, request("not yet old", asked=START - 86_402_000))

    assert scripts.run(Distribute(LIFE)) is False
    assert waiting(scripts) == ["not yet old"]


def test_it_says_whether_there_may_be_more(scripts: Scripts) -> None:
    for number in range(5):
        note(scripts, request(f"{number}"))

    assert [scripts.run(Distribute(LIFE, count=2)) for _ in range(3)] == [True, True, False]
    assert waiting(scripts) == ["0", "1", "2", "3", "4"]


def test_what_nobody_takes_is_forgotten(scripts: Scripts) -> None:
    note(scripts, request("a"))
    scripts.run(Distribute(LIFE))

    assert 0 < scripts.redis.pttl(keys.unreconciled("team-0a")) <= LIFE * 1000
