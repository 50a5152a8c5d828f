"""report_tokens, read_tokens_seen and read_use: what people see of Poe accounts."""

from __future__ import annotations

import datetime

from contract.calls.accounts import (
    SEEN_LIFE,
    AccountUse,
    ReadTokensSeen,
    ReadUse,
    ReportTokens,
    SeenToken,
)
from contract.calls.stored_tokens import AddToken, HoldToken, RemoveToken
from contract.stored_tokens import StoredToken
from tests.support.scripts import Scripts

TOKEN = SeenToken("team-0a", "a", "b", 60, 10, cool_down=3.0)

NEW_YEAR = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)


def use_of(scripts: Scripts, token: SeenToken = TOKEN) -> AccountUse:
    return scripts.run(ReadUse([("t", token)]))[0]


def test_what_workers_report_is_read_until_no_worker_has_had_it_for_a_day(
    scripts: Scripts,
) -> None:
    other = SeenToken("other", "c", "c", 1, 1)
    scripts.run(ReportTokens({"t": TOKEN, "u": other}))
    both = scripts.run(ReadTokensSeen())

    scripts.now += round(SEEN_LIFE * 1000)
    scripts.run(ReportTokens({"u": other}))

    assert both == {"t": TOKEN, "u": other}
    assert scripts.run(ReadTokensSeen()) == {"u": other}


def test_a_token_that_is_removed_is_forgotten(scripts: Scripts) -> None:
    scripts.run(AddToken("t", StoredToken("team-0a", b"x", NEW_YEAR)))
    scripts.run(ReportTokens({"t": TOKEN}))

    scripts.run(RemoveToken("t"))

    assert scripts.run(ReadTokensSeen()) == {}


def test_a_token_of_which_nothing_is_known_is_nobodys(scripts: Scripts) -> None:
    assert use_of(scripts) == AccountUse()


def test_how_a_token_stands_is_read_with_what_its_account_uses(scripts: Scripts) -> None:
    scripts.redis.hset("p2g:token:t", mapping={"points": 1200, "points_at": scripts.now - 1000})
    scripts.heartbeat("w1", batches=["b"])
    assert scripts.acquire("g1")[0] == "granted"
    assert scripts.acquire("g2")[0] == "granted"
    scripts.release("g2")
    scripts.run(
        AddToken(
            "t", StoredToken("team-0a", b"x", datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC))
        )
    )

    assert use_of(scripts) == AccountUse(
        cools=3.0, uses=2, in_flight=1, points=1200, looked=1.0, worker="w1", is_added=True
    )


def test_what_no_longer_counts_is_left_out(scripts: Scripts) -> None:
    scripts.heartbeat("w1", batches=["b"])
    scripts.acquire("g1")

    scripts.now += 200_000

    assert use_of(scripts) == AccountUse()


def test_why_a_token_is_set_aside_is_read(scripts: Scripts) -> None:
    scripts.release("g1", park=5000, strikes=2, rest=7000)
    learned = use_of(scripts)
    scripts.run(HoldToken("t", 9.0))
    timed = use_of(scripts)
    scripts.run(HoldToken("t"))
    endless = use_of(scripts)
    scripts.run(HoldToken("t", release=True))

    assert (learned.parked, learned.strikes, learned.rests, learned.held) == (5.0, 2, 7.0, 0.0)
    assert timed.held == 9.0
    assert endless.held < 0
    assert use_of(scripts) == AccountUse(rests=7.0)


def test_it_changes_nothing(scripts: Scripts) -> None:
    scripts.heartbeat("w1", batches=["b"])
    scripts.acquire("g1")
    before = {key: scripts.redis.dump(key) for key in scripts.redis.scan_iter()}

    use_of(scripts)

    assert {key: scripts.redis.dump(key) for key in scripts.redis.scan_iter()} == before
