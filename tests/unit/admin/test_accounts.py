"""How the page says a Poe token stands."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from admin.accounts import State, rows_of, state_of, tokens_of
from admin.texts import TEXTS
from contract.calls.accounts import AccountUse, SeenToken
from contract.stored_tokens import StoredToken

TOKEN = SeenToken("team-1", "account", "account", rate_limit=60, max_in_flight=10)


@pytest.mark.parametrize(
    ("use", "state"),
    [
        ({}, State("ready", "good")),
        ({"in_flight": 9, "uses": 59}, State("busy", "good")),
        ({"cools": 2.0, "in_flight": 1}, State("cools", "good", 2.0)),
        ({"uses": 60, "in_flight": 9}, State("used_up", "warn")),
        ({"uses": 60, "in_flight": 10}, State("full", "warn")),
        ({"rests": 3.0, "in_flight": 10}, State("rests", "warn", 3.0)),
        ({"worker": "", "rests": 3.0}, State("unowned", "bad")),
        ({"parked": 9.0, "state": "no points", "worker": ""}, State("no_points", "bad", 9.0)),
        ({"parked": 9.0, "state": "bad key", "reason": "x"}, State("bad_key", "bad", 9.0)),
        ({"parked": 9.0, "state": "new", "reason": "x"}, State("parked", "bad", 9.0, "x")),
        ({"state": "no points"}, State("ready", "good")),
        ({"held": 5.0, "parked": 9.0}, State("held", "idle", 5.0)),
        ({"held": -0.001}, State("held", "idle")),
    ],
)
def test_the_state_is_what_has_to_end_first(use: dict[str, Any], state: State) -> None:
    assert state_of(TOKEN, AccountUse(**{"worker": "w", **use})) == state
    assert f"accounts.state.{state.name}" in TEXTS


def test_a_token_that_was_added_and_no_worker_has_is_listed_too() -> None:
    stored = {
        "a": StoredToken("zoe-a", b"", datetime.datetime.now(datetime.UTC)),
        "b": StoredToken("older name", b"", datetime.datetime.now(datetime.UTC)),
    }

    tokens = tokens_of({"b": TOKEN}, stored)

    assert [(id_, token.label) for id_, token in tokens] == [("b", "team-1"), ("a", "zoe-a")]


def test_tokens_of_one_account_are_told_to_share_it() -> None:
    other = SeenToken("other", "alone", "alone", 60, 10)
    tokens = [("a", TOKEN), ("b", TOKEN), ("c", other)]

    rows = rows_of(tokens, [AccountUse()] * 3)

    assert [row.siblings for row in rows] == [1, 1, 0]
