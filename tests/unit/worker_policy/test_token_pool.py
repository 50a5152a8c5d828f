"""TokenPool: which token starts the next call, and how long to wait for one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from contract.messages import TokenCounts
from tests.unit.worker_policy.pool import token
from worker.config import PoeToken
from worker.policy.token_pool import NEVER, WINDOW, TokenPool, Wait, margin

NOW = 1000.0


def _pool(*tokens: PoeToken) -> TokenPool:
    pool = TokenPool(tokens)
    pool.own({token.account for token in tokens})
    return pool


def _call(pool: TokenPool, now: float) -> PoeToken:
    """A whole call, that takes no time."""
    taken = pool.acquire(now)
    assert isinstance(taken, PoeToken)
    pool.sent(taken, now)
    pool.release(taken)
    return taken


def test_a_pool_that_owns_nothing_gives_nothing() -> None:
    pool = TokenPool([token("a")])

    assert pool.acquire(NOW) == Wait(NEVER)


def test_the_tokens_that_are_new_to_us_are_told() -> None:
    a, b, c = token("a", "one"), token("b", "one"), token("c", "two")
    pool = TokenPool([a, b, c])

    told = [pool.own({"one"}), pool.own({"one", "two"}), pool.own({"two"}), pool.own({"one"})]

    assert told == [[a, b], [c], [], [a, b]]


def test_a_token_that_was_let_go_is_given_no_more() -> None:
    a, b = token("a"), token("b")
    pool = _pool(a, b)

    pool.own({b.account})

    assert [pool.acquire(NOW) for _ in range(3)] == [b, b, b]


def test_the_least_busy_goes_first() -> None:
    a, b = token("a"), token("b")
    pool = _pool(a, b)
    first = [pool.acquire(NOW) for _ in range(4)]
    pool.release(b)

    again = pool.acquire(NOW)

    assert first == [a, b, a, b]
    assert again == b


def test_of_the_idle_the_one_that_has_rested_longest_goes_first() -> None:
    pool = _pool(token("a"), token("b"), token("c"))

    order = [_call(pool, NOW + n).id for n in range(6)]

    assert order == ["a", "b", "c", "a", "b", "c"]


def test_a_token_that_was_looked_at_and_put_back_keeps_its_place() -> None:
    a, b = token("a"), token("b")
    pool = _pool(a, b)
    _call(pool, NOW)

    for taken in [pool.acquire(NOW + 1), pool.acquire(NOW + 1)]:
        assert isinstance(taken, PoeToken)
        pool.cancel(taken)

    assert pool.acquire(NOW + 2) == b


@pytest.mark.parametrize("cool_down", [0.5, 3.0, 3600.0])
def test_a_token_cools_down_from_the_instant_of_sending(cool_down: float) -> None:
    a = token("a", cool_down=cool_down)
    pool = _pool(a)
    pool.acquire(NOW)
    pool.sent(a, NOW + 2)
    pool.release(a)
    ready = NOW + 2 + cool_down + margin(cool_down)

    early = pool.acquire(math.nextafter(ready, 0))
    due = pool.acquire(ready)

    assert early == Wait(ready)
    assert due == a


def test_the_rate_is_counted_over_any_window() -> None:
    a = token("a", rate_limit=2)
    pool = _pool(a)
    _call(pool, NOW)
    _call(pool, NOW + 10)
    ready = NOW + WINDOW + margin(WINDOW)

    early = pool.acquire(math.nextafter(ready, 0))
    due = pool.acquire(ready)
    then = pool.acquire(ready)

    assert early == Wait(ready)
    assert due == a
    assert then == Wait(ready + 10)


def test_an_early_call_that_is_given_up_late_takes_back_no_later_start() -> None:
    pool = TokenPool([token("a", "one", cool_down=2.0), token("b", "one", cool_down=2.0)])
    pool.own({"one"})
    early = pool.acquire(1000.0)
    late = pool.acquire(1002.05)
    assert isinstance(early, PoeToken)
    assert isinstance(late, PoeToken)
    pool.sent(late, 1002.05)
    pool.release(late)

    pool.cancel(early)

    assert isinstance(pool.acquire(1002.05), Wait)


def test_no_more_calls_are_in_flight_than_may_be() -> None:
    a = token("a", max_in_flight=2)
    pool = _pool(a)
    first = [pool.acquire(NOW) for _ in range(3)]
    pool.release(a)

    again = pool.acquire(NOW)

    assert first == [a, a, Wait(NEVER)]
    assert again == a


def test_a_call_that_was_never_made_costs_nothing() -> None:
    a = token("a", rate_limit=1, cool_down=3, max_in_flight=1)
    pool = _pool(a)
    pool.acquire(NOW)

    pool.cancel(a)

    assert pool.acquire(NOW) == a


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"rate_limit": 1}, id="rate"),
        pytest.param({"cool_down": 3.0}, id="cooldown"),
        pytest.param({"max_in_flight": 1}, id="in flight"),
    ],
)
def test_two_tokens_of_one_account_share_its_limits(limits: dict[str, Any]) -> None:
    pool = _pool(token("a", "same", **limits), token("b", "same", **limits))
    pool.acquire(NOW)

    assert isinstance(pool.acquire(NOW), Wait)


def test_what_redis_refuses_is_not_asked_again_before_its_time() -> None:
    a, b = token("a", "same"), token("b", "same")
    pool = _pool(a, b)
    pool.acquire(NOW)

    pool.refuse(a, NOW + 7)

    assert pool.acquire(NOW) == Wait(NOW + 7)
    assert pool.acquire(NOW + 7) == a


def test_the_longer_of_two_rests_counts() -> None:
    a = token("a")
    pool = _pool(a)

    pool.rest(a, NOW + 7)
    pool.rest(a, NOW + 2)

    assert pool.acquire(NOW) == Wait(NOW + 7)


def test_a_rest_is_the_accounts_and_a_parking_the_tokens() -> None:
    a, b, c = token("a", "same"), token("b", "same"), token("c")
    pool = _pool(a, b, c)

    pool.rest(a, NOW + 7)
    pool.park("c", NOW + 100, "no points")
    resting = pool.acquire(NOW)
    pool.park("a", NOW + 50, "bad key")

    assert resting == Wait(NOW + 7)
    assert pool.acquire(NOW + 7) == b


def test_a_parked_token_is_well_again_in_time_or_when_it_is_said_so() -> None:
    a = token("a")
    pool = _pool(a)
    pool.park("a", NOW + 100, "no points")
    before = (pool.acquire(NOW), pool.parked(NOW), pool.state("a"), pool.is_well("a"))
    in_time = pool.acquire(NOW + 100)

    pool.unpark("a")

    assert before == (Wait(NOW + 100), [a], "no points", False)
    assert in_time == a
    assert (pool.acquire(NOW + 100), pool.parked(NOW), pool.is_well("a")) == (a, [], True)


def test_a_token_that_may_not_use_a_model_is_left_out_for_that_model_alone() -> None:
    a = token("a")
    pool = _pool(a)

    pool.mark_unfit("a", "Big", NOW + 100)

    assert pool.acquire(NOW, model="Big") == Wait(NOW + 100)
    assert not pool.suits(a, "Big", NOW)
    assert pool.acquire(NOW, model="Small") == a
    assert pool.acquire(NOW + 100, model="Big") == a


def test_a_job_never_gets_a_token_that_it_has_tried() -> None:
    a, b = token("a"), token("b")
    pool = _pool(a, b)

    second = pool.acquire(NOW, tried={"a"})
    third = pool.acquire(NOW, tried={"a", "b"})

    assert second == b
    assert third == Wait(NEVER)


@pytest.mark.parametrize(
    ("spoil", "anywhere", "owned"),
    [
        pytest.param(repr, True, True, id="all is well"),
        pytest.param(
            lambda pool: pool.park("b", NOW + 1, "bad key"), True, False, id="ours parked"
        ),
        pytest.param(
            lambda pool: pool.park("c", NOW + 1, "bad key"), True, True, id="theirs parked"
        ),
        pytest.param(lambda pool: pool.mark_unfit("b", "M", NOW + 1), True, False, id="ours unfit"),
        pytest.param(lambda pool: pool.park("b", NOW, "no points"), True, True, id="well by now"),
        pytest.param(
            lambda pool: (pool.park("b", NOW + 1, "x"), pool.mark_unfit("c", "M", NOW + 1)),
            False,
            False,
            id="none",
        ),
    ],
)
def test_whether_any_token_is_left_for_a_job(
    spoil: Callable[[TokenPool], object], anywhere: bool, owned: bool
) -> None:
    a, b, c = token("a"), token("b"), token("c")
    pool = TokenPool([a, b, c])
    pool.own({a.account, b.account})
    spoil(pool)

    left = [
        pool.untried(NOW, model="M", tried={"a"}),
        pool.untried(NOW, model="M", tried={"a"}, owned_only=True),
    ]

    assert left == [anywhere, owned]


def test_strikes_are_counted_until_the_token_is_well() -> None:
    pool = _pool(token("a"))
    pool.remember_strikes("a", 2)
    pool.remember_strikes("a", 1)

    counted = [pool.strike("a", 1.0, 2.0), pool.strike("a", 2.0, 3.0), pool.is_well("a")]
    pool.unpark("a")

    assert counted == [3, 4, False]
    assert pool.strike("a", 4.0, 5.0) == 1


def test_calls_that_fail_together_are_one_strike() -> None:
    pool = _pool(token("a"))

    assert [pool.strike("a", 0.1 * n, 10.0 + n) for n in range(10)] == [1] * 10
    assert pool.strike("a", 20.0, 21.0) == 2


def test_every_owned_token_is_counted_once() -> None:
    tokens = {
        name: token(name, cool_down=3.0, max_in_flight=1)
        for name in ("free", "cooling", "busy", "parked", "disabled", "foreign")
    }
    pool = TokenPool(tokens.values())
    for name in ("cooling", "busy"):
        pool.own({tokens[name].account})
        pool.acquire(NOW)
    pool.release(tokens["cooling"])
    pool.park("parked", NOW + 1, "no points")
    pool.park("disabled", NOW + 1, "bad key")
    pool.own({token.account for name, token in tokens.items() if name != "foreign"})

    assert pool.counts(NOW) == TokenCounts(free=1, cooling=1, busy=1, parked=1, disabled=1)
    assert repr(pool) == "<TokenPool 5 of 6 owned, 1 in flight>"


@pytest.mark.parametrize(
    ("limits", "capacity"),
    [
        pytest.param({"rate_limit": 120}, 2.0, id="by its rate"),
        pytest.param({"rate_limit": 120, "cool_down": 2.0}, 0.5, id="by its cooldown"),
    ],
)
def test_capacity_is_what_the_limits_of_healthy_accounts_allow(
    limits: dict[str, Any], capacity: float
) -> None:
    pool = _pool(token("a", "same", **limits), token("b", "same", **limits), token("c", **limits))
    both = pool.capacity(NOW)
    pool.park("a", NOW + 1, "no points")
    pool.park("c", NOW + 1, "no points")

    assert both == 2 * capacity
    assert pool.capacity(NOW) == capacity


@pytest.mark.parametrize(
    ("period", "expected"), [(0.0, 0.0), (1.0, 0.02), (2.5, 0.05), (3.0, 0.05), (60.0, 0.05)]
)
def test_the_margin_is_two_per_cent_and_at_most_a_twentieth_of_a_second(
    period: float, expected: float
) -> None:
    assert margin(period) == pytest.approx(expected)


def test_nothing_that_is_printed_holds_a_secret() -> None:
    a = token("a")

    assert a.secret not in repr(_pool(a)) + repr(a) + repr(_pool(a).acquire(NOW))


def test_another_list_of_tokens_leaves_those_that_stay_as_they_are() -> None:
    # Given two tokens, one in flight and one that is set aside
    a, b, c = token("a", cool_down=2.0), token("b"), token("c")
    pool = _pool(a, b)
    pool.park("b", NOW + 60, "no points")
    busy = pool.acquire(NOW)
    pool.sent(a, NOW)

    # When the list changes
    pool.configure([a, b, c])
    new = pool.own({a.account, b.account, c.account})

    # Then the new one can be used, and what was known of the others still holds
    assert busy == a
    assert new == [c]
    assert pool.acquire(NOW) == c
    pool.release(a)
    assert pool.acquire(NOW + 1.9) == c
    assert pool.acquire(NOW + 2.1) == a
    assert pool.counts(NOW + 2.1).parked == 1


def test_a_token_that_is_taken_away_while_it_is_in_flight_is_released_as_usual() -> None:
    a, b = token("a"), token("b")
    pool = _pool(a, b)
    assert pool.acquire(NOW) == a
    pool.sent(a, NOW)

    pool.configure([b])
    pool.release(a)
    pool.strike("a", NOW, NOW)
    pool.park("a", NOW + 60, "no points")
    pool.unpark("a")
    pool.rest(a, NOW + 60)

    assert pool.acquire(NOW) == b
    assert (pool.all(), pool.parked(NOW), pool.others(a)) == ([b], [], [])
    assert pool.counts(NOW) == TokenCounts(free=1)
    assert not pool.untried(NOW, model="", tried={"b"})


def test_limits_can_change_while_calls_are_in_flight() -> None:
    pool = _pool(token("a", max_in_flight=1))
    assert pool.acquire(NOW) == token("a", max_in_flight=1)
    assert pool.acquire(NOW) == Wait(NEVER)

    pool.configure([token("a", max_in_flight=2, rate_limit=2)])
    second = pool.acquire(NOW)

    assert second == token("a", max_in_flight=2, rate_limit=2)
    pool.release(token("a"))
    assert pool.acquire(NOW) == Wait(NOW + WINDOW + margin(WINDOW))


def test_a_token_of_another_account_is_owned_with_that_account() -> None:
    pool = _pool(token("a", "one"))

    pool.configure([token("a", "two")])

    assert pool.acquire(NOW) == Wait(NEVER)
    assert pool.own({"two"}) == [token("a", "two")]
    assert pool.acquire(NOW) == token("a", "two")
