"""Alerts: left by what spends a budget, and handed out by take_alert and put_back_alert."""

from __future__ import annotations

from importlib.resources import files

import pytest

from contract.alerts import Alert
from contract.calls.alerts import PutBackAlert, TakeAlert, Taken
from contract.scripts import with_keys
from tests.support.keys import keys
from tests.support.scripts import Scripts

COUNTER = "p2g:counter"
BUDGET = "key:0a:month:2026-11"

TELL = (files("contract") / "lua" / "lib.lua").read_text() + (
    "redis.call('HINCRBY', KEYS[1], 'spent', ARGV[3])\n"
    "tell_budget(KEYS[1], ARGV[2], clock(ARGV[1]), ARGV[4] == '1')"
)


def spend(scripts: Scripts, points: int, budget: str = BUDGET, *, is_refused: bool = False) -> None:
    script = with_keys(TELL, keys)
    scripts.redis.eval(script, 1, COUNTER, scripts.now, budget, points, int(is_refused))


def take(scripts: Scripts) -> Taken | None:
    return scripts.run(TakeAlert(lease=60))


def taken(scripts: Scripts) -> list[tuple[int, int]]:
    """Take and remove all that is due, and return what was passed, and how much was spent then."""
    found = []
    while each := take(scripts):
        scripts.run(PutBackAlert(each.id))
        found.append((each.alert.percent, each.alert.spent))
    return found


@pytest.fixture
def budget(scripts: Scripts) -> Scripts:
    fields = {"limit": 1000, "renews": 9, "kind": "key", "name": "ann", "period": "month"}
    scripts.redis.hset(COUNTER, mapping=fields)
    return scripts


def test_each_mark_is_told_once(budget: Scripts) -> None:
    spend(budget, 799)
    assert taken(budget) == []

    spend(budget, 1)
    spend(budget, 100)
    assert taken(budget) == [(80, 800)]

    spend(budget, 100)
    spend(budget, 100)
    assert taken(budget) == [(100, 1000)]


def test_both_marks_may_be_passed_at_once(budget: Scripts) -> None:
    spend(budget, 5000)

    assert sorted(taken(budget)) == [(80, 5000), (100, 5000)]


def test_a_budget_that_suffices_no_longer_is_told_to_be_used_up(budget: Scripts) -> None:
    spend(budget, 790)
    spend(budget, 0, is_refused=True)  # a dear request: much is left for others
    assert taken(budget) == []

    spend(budget, 110)
    spend(budget, 0, is_refused=True)
    spend(budget, 0, is_refused=True)

    assert taken(budget) == [(80, 900), (100, 900)]


def test_a_correction_back_and_forth_tells_nothing_again(budget: Scripts) -> None:
    for points in (900, -500, 500):
        spend(budget, points)

    assert taken(budget) == [(80, 900)]


def test_another_limit_is_told_anew(budget: Scripts) -> None:
    spend(budget, 900)
    budget.redis.hset(COUNTER, "limit", 2000)
    spend(budget, 600)
    spend(budget, 100)

    assert taken(budget) == [(80, 900), (80, 1600)]


@pytest.mark.parametrize("limit", [None, 0])
def test_what_has_no_limit_or_may_not_be_spent_at_all_tells_nothing(
    scripts: Scripts, limit: int | None
) -> None:
    if limit is not None:
        scripts.redis.hset(COUNTER, "limit", limit)

    spend(scripts, 0)
    spend(scripts, 100)

    assert taken(scripts) == []


def test_an_alert_says_all_that_is_known(budget: Scripts) -> None:
    spend(budget, 800)
    budget.now += 5000

    found = take(budget)

    assert found is not None
    expected = Alert(BUDGET, "key", "ann", "month", 80, 800, 1000, 9, budget.now - 5000)
    assert (found.alert, found.age, found.is_first) == (expected, 5.0, True)


def test_an_alert_is_one_workers_until_its_lease_ends(budget: Scripts) -> None:
    spend(budget, 800)

    assert take(budget)
    assert take(budget) is None
    budget.now += 60_000
    again = take(budget)

    assert again is not None
    assert not again.is_first


def test_an_alert_that_is_put_back_is_due_again_after_its_pause(budget: Scripts) -> None:
    spend(budget, 800)
    first = take(budget)
    assert first is not None
    assert budget.run(PutBackAlert(first.id, pause=5))

    assert take(budget) is None
    budget.now += 5000
    assert take(budget)


def test_one_that_was_delivered_does_not_come_back(budget: Scripts) -> None:
    spend(budget, 800)
    first = take(budget)
    assert first is not None
    budget.run(PutBackAlert(first.id))

    budget.run(PutBackAlert(first.id, pause=5))

    assert not budget.redis.exists(keys.alerts)


def test_alerts_that_nobody_takes_are_bounded(budget: Scripts) -> None:
    older = {f"alert {number}": budget.now - 1005 + number for number in range(1005)}
    budget.redis.zadd(keys.alerts, older)

    spend(budget, 800)

    left = budget.redis.zrange(keys.alerts, 0, -1)
    assert len(left) == 1000
    assert left[0] == b"alert 6"
