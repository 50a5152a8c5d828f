"""A token that is given another account, in any direction, takes along what it has used up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.keys import keys
from tests.support.scripts import Scripts

LIMIT = 10
ALONE: dict[str, Any] = {"token": "t", "account": "t"}
NAMED: dict[str, Any] = {"token": "t", "account": "team"}
RENAMED: dict[str, Any] = {"token": "t", "account": "crew"}
OTHER_ALONE: dict[str, Any] = {"token": "u", "account": "u"}
OTHER_NAMED: dict[str, Any] = {"token": "u", "account": "team"}


@pytest.fixture(autouse=True)
def _the_lease_is_ours(scripts: Scripts) -> None:
    scripts.heartbeat("w1", ["b"], life=10_000_000)


_numbers = itertools.count()


def _use(scripts: Scripts, count: int, config: dict[str, Any], others: Sequence[str] = ()) -> int:
    """Make up to so many calls within the limit; return how many were granted."""
    granted = 0
    for _ in range(count):
        grant = f"g{next(_numbers)}"
        reply = scripts.acquire(grant, rate=LIMIT, others=others, **config)
        if reply[0] == "granted":
            scripts.sent(grant, scripts.now, config["account"])
            scripts.release(grant, **config)
            granted += 1
    return granted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(ALONE, NAMED, id="given one"),
        pytest.param(NAMED, ALONE, id="freed of it"),
        pytest.param(NAMED, RENAMED, id="renamed"),
    ],
)
def test_its_uses_count_on(scripts: Scripts, before: dict[str, Any], after: dict[str, Any]) -> None:
    first = _use(scripts, 20, before)
    scripts.now += 30_000

    second = _use(scripts, 20, after)
    scripts.now += 30_300
    third = _use(scripts, 20, after)

    assert (first, second, third) == (LIMIT, 0, LIMIT)


def test_the_uses_of_all_tokens_that_make_up_an_account_count(scripts: Scripts) -> None:
    _use(scripts, 3, ALONE)
    _use(scripts, 4, OTHER_ALONE)

    together = _use(scripts, 20, NAMED, others=["u"])

    assert together == LIMIT - 3 - 4
    assert _use(scripts, 20, OTHER_NAMED, others=["t"]) == 0


def test_workers_that_know_different_accounts_see_the_same_uses(scripts: Scripts) -> None:
    starts = 0
    for _ in range(6):
        starts += _use(scripts, 2, ALONE)
        starts += _use(scripts, 2, NAMED, others=["u"])
        starts += _use(scripts, 2, OTHER_ALONE)

    assert starts <= LIMIT + 2
    assert _use(scripts, 5, NAMED, others=["u"]) == 0


@pytest.mark.parametrize("kept_alive", [False, True])
def test_calls_in_flight_count_on_and_end_wherever_they_are_counted(
    scripts: Scripts, kept_alive: bool
) -> None:
    scripts.acquire("g1", most=1, life=1000, **ALONE)
    moved = scripts.acquire("g2", most=1, **NAMED)

    if kept_alive:
        scripts.now += 900
        scripts.extend("g1", life=1000, **ALONE)
        scripts.now += 900
        still = scripts.acquire("g2", most=1, **NAMED)
    else:
        still = moved
    scripts.release("g1", **ALONE)
    freed = scripts.acquire("g2", most=1, **NAMED)

    assert moved == still == ["full"]
    assert freed[0] == "granted"


def test_a_call_that_was_not_made_is_counted_nowhere(scripts: Scripts) -> None:
    scripts.acquire("g1", rate=1, **ALONE)
    moved = scripts.acquire("g2", rate=1, **NAMED)

    scripts.release("g1", unused=True, **ALONE)

    assert moved[0] == "wait"
    assert scripts.acquire("g2", rate=1, **NAMED)[0] == "granted"


def test_a_rest_counts_on_and_reaches_an_account_that_a_worker_does_not_know(
    scripts: Scripts,
) -> None:
    scripts.release("g1", rest=5000, **ALONE)
    rests = scripts.acquire("g2", **NAMED)

    scripts.release("g3", rest=9000, **ALONE)

    assert rests == ["wait", 5000]
    assert scripts.acquire("g4", **NAMED) == ["wait", 9000]


def test_where_a_token_was_used_is_forgotten_with_what_it_has_used(scripts: Scripts) -> None:
    before = scripts.lasting_keys()

    _use(scripts, 3, ALONE)
    _use(scripts, 3, NAMED)

    assert scripts.lasting_keys() == before
    for key in (keys.uses("t"), keys.uses("team")):
        assert scripts.redis.pttl(keys.account("t")) >= scripts.redis.pttl(key) - 100_000
