"""add_token, remove_token, hold_token and read_tokens: Poe tokens at run time."""

from __future__ import annotations

import datetime

from contract.calls.stored_tokens import AddToken, HoldToken, Listed, ReadTokens, RemoveToken
from contract.calls.tokens import TokenState, TokenStates
from contract.stored_tokens import StoredToken
from tests.support.scripts import Scripts

TOKEN = StoredToken(
    "team-0a",
    b"sealed",
    datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC),
    account="team",
    cool_down=0.5,
)


def held(scripts: Scripts, token: str = "t") -> TokenState | None:
    return scripts.run(TokenStates((token,))).get(token)


def test_tokens_are_read_when_they_have_changed_and_only_then(scripts: Scripts) -> None:
    first = scripts.run(ReadTokens("0"))

    assert scripts.run(AddToken("t", TOKEN))
    added = scripts.run(ReadTokens(first.version))
    again = scripts.run(ReadTokens(added.version))
    assert scripts.run(RemoveToken("t"))
    removed = scripts.run(ReadTokens(added.version))

    assert first == Listed("0", None)
    assert added.tokens == {"t": TOKEN}
    assert again == Listed(added.version, None)
    assert removed.tokens == {}
    assert len({first.version, added.version, removed.version}) == 3


def test_adding_a_token_again_replaces_it(scripts: Scripts) -> None:
    scripts.run(AddToken("t", TOKEN))

    assert not scripts.run(AddToken("t", StoredToken("other", b"x", TOKEN.created)))
    tokens = scripts.run(ReadTokens()).tokens
    assert tokens is not None
    assert tokens["t"].label == "other"
    assert not scripts.run(RemoveToken("u"))


def test_what_another_version_has_written_is_told_apart(scripts: Scripts) -> None:
    scripts.run(AddToken("t", TOKEN))
    scripts.redis.hset("p2g:poe-tokens", "u", "[]")

    listed = scripts.run(ReadTokens())

    assert listed.tokens == {"t": TOKEN}
    assert listed.unreadable == ("u",)


def test_a_token_that_is_held_gets_no_grant_until_its_time_or_until_it_is_let_go(
    scripts: Scripts,
) -> None:
    scripts.heartbeat("w1", batches=["b"])
    before = scripts.run(ReadTokens()).version

    scripts.run(HoldToken("t", 2.0))
    refused = scripts.acquire("g1")
    state = held(scripts)
    scripts.now += 2000
    timed = scripts.acquire("g2")
    scripts.run(HoldToken("t"))
    for_ever = scripts.acquire("g3")
    scripts.run(HoldToken("t", release=True))

    assert refused == ["parked", 2000, b"held"]
    assert state == TokenState(2.0, "held")
    assert timed[0] == "granted"
    assert for_ever == ["parked", 3_600_000, b"held"]
    assert scripts.acquire("g4")[0] == "granted"
    assert scripts.run(ReadTokens()).version != before


def test_a_token_that_was_not_added_cannot_be_removed_and_stays_parked(scripts: Scripts) -> None:
    scripts.run(HoldToken("t"))
    before = scripts.run(ReadTokens()).version

    assert not scripts.run(RemoveToken("t"))

    assert held(scripts)
    assert scripts.run(ReadTokens()).version == before


def test_neither_a_success_nor_a_balance_lets_go_what_an_operator_holds(scripts: Scripts) -> None:
    scripts.run(HoldToken("t"))

    scripts.release("g1", token="t", park=-1)

    state = held(scripts)
    assert state is not None
    assert state.state == "held"


def test_what_an_operator_lets_go_is_held_to_be_well(scripts: Scripts) -> None:
    scripts.release("g1", token="t", park=5000, strikes=2)

    scripts.run(HoldToken("t", release=True))

    assert held(scripts) is None
