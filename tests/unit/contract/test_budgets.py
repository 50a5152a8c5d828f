"""Which budgets a request counts in, and when they renew."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.budgets import budgets_of, renewal
from contract.groups import Group
from gateway.config import AccessToken

BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def group(zone: str = "UTC", **budgets: int) -> Group:
    return Group(name="lab", time_zone=zone, **budgets)


def test_who_has_no_budget_counts_in_none() -> None:
    assert budgets_of("key", "id", "ann", AccessToken(b"", "id", "ann"), 0.0) == ()


def test_each_period_has_a_counter_and_begins_where_the_budget_is() -> None:
    limits = group(BERLIN, day_budget=1, week_budget=2, month_budget=3, total_budget=4)
    # In Berlin it is Tuesday, the first of December, already.
    found = budgets_of("group", "lab", "lab", limits, at("2026-11-30T23:30:00+00:00"))
    assert [(budget.counter, budget.limit, renewal(budget, BERLIN)) for budget in found] == [
        ("group:lab:day:2026-12-01", 1, "2026-12-02T00:00:00+01:00"),
        ("group:lab:week:2026-11-30", 2, "2026-12-07T00:00:00+01:00"),
        ("group:lab:month:2026-12", 3, "2027-01-01T00:00:00+01:00"),
        ("group:lab:total", 4, ""),
    ]


def test_an_error_names_the_budget_its_owner_and_its_renewal() -> None:
    (of_key,) = budgets_of(
        "key", "id", "ann", AccessToken(b"", "id", "ann", day_budget=0), at("2026-11-27T12:00Z")
    )
    (of_group,) = budgets_of("group", "lab", "lab", group(total_budget=9), 0.0)
    assert of_key.title == (
        "the daily budget of this API key (0 points), which renews at 2026-11-28T00:00:00+00:00"
    )
    assert of_group.title == (
        "the total budget of the group 'lab' (9 points), which does not renew"
    )


@pytest.mark.parametrize(
    ("zone", "now", "hours"),
    [
        (BERLIN, "2026-03-29T12:00:00+02:00", 23),
        (BERLIN, "2026-10-25T12:00:00+01:00", 25),
        # Where clocks skip midnight, the day begins at 1:00.
        ("Asia/Beirut", "2026-03-29T12:00:00+03:00", 23),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone: str, now: str, hours: int) -> None:
    (today,) = budgets_of("group", "lab", "lab", group(zone, day_budget=1), at(now))
    (before,) = budgets_of("group", "lab", "lab", group(zone, day_budget=1), at(now) - 86_400)
    assert today.renews - before.renews == hours * 3600 * 1000


@given(
    st.floats(0, 4e9),
    st.sampled_from(["UTC", BERLIN, "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"]),
)
def test_a_period_ends_when_the_next_begins(now: float, zone: str) -> None:
    limits = group(zone, day_budget=1, week_budget=1, month_budget=1)
    for budget in budgets_of("group", "lab", "lab", limits, now):
        assert now * 1000 < budget.renews
        place = ("day", "week", "month").index(budget.period)
        last = budgets_of("group", "lab", "lab", limits, budget.renews / 1000 - 1)[place]
        following = budgets_of("group", "lab", "lab", limits, budget.renews / 1000)[place]
        assert last.counter == budget.counter != following.counter


def test_a_zone_that_only_another_machine_knows_counts_as_utc() -> None:
    (today,) = budgets_of("group", "lab", "lab", group("Mars/Olympus", day_budget=1), 0.0)
    assert (today.counter, renewal(today)) == (
        "group:lab:day:1970-01-01",
        "1970-01-02T00:00:00+00:00",
    )
