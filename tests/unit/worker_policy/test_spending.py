"""What a worker tells of the cost of a job's calls."""

from __future__ import annotations

import pytest

from contract.ledger import Cost
from contract.messages import Usage
from contract.prices import MOST_POINTS, Price
from worker.poe.faults import Fault, FaultKind, Reach
from worker.policy.retry import CORRECTED, UNHEARD
from worker.policy.spending import MOST_TOKENS, Spending

A_POINT = 10**15 // 33_000
PRICE = Price(prompt=A_POINT, completion=2 * A_POINT)
FLAT = Price(request=5 * A_POINT)


def fault(kind: FaultKind, reach: Reach) -> Fault:
    made = Fault(kind)
    made.reached = reach
    return made


def test_an_answer_costs_what_its_tokens_cost() -> None:
    spending = Spending(PRICE)
    spending.reach(Reach.BEGUN)
    spending.count(Usage(10, 4, 3))
    assert spending.cost == Cost(1, 0, 18, "usage", 10, 4, 3)


def test_what_is_read_from_a_cache_and_written_to_one_has_its_own_price() -> None:
    cached = Price(prompt=10 * A_POINT, cache_read=A_POINT, cache_write=12 * A_POINT)
    spending = Spending(cached)
    spending.reach(Reach.BEGUN)
    spending.count(Usage(100, 4, cached_tokens=70, written_tokens=20))
    assert spending.cost.points == 70 + 20 * 12 + 10 * 10


def test_a_flat_price_needs_no_tokens() -> None:
    spending = Spending(FLAT)
    spending.reach(Reach.ANSWERED)
    assert spending.cost == Cost(1, 0, 5, "flat")


@pytest.mark.parametrize("price", [PRICE, None])
@pytest.mark.parametrize("reach", [Reach.SENT, Reach.ANSWERED, Reach.BEGUN])
def test_what_may_have_run_counts_as_the_estimate(price: Price | None, reach: Reach) -> None:
    spending = Spending(price)
    spending.reach(reach)
    assert (spending.cost.calls, spending.cost.unpriced, spending.cost.points) == (1, 1, 0)


@pytest.mark.parametrize("reach", [Reach.UNSENT, Reach.REFUSED])
def test_what_poe_did_not_run_is_free(reach: Reach) -> None:
    spending = Spending(PRICE)
    spending.reach(reach)
    spending.end_call(fault(FaultKind.UPSTREAM_DOWN, reach))
    assert spending.cost == Cost()


def test_an_error_event_that_refuses_is_free() -> None:
    spending = Spending(PRICE)
    spending.reach(Reach.ANSWERED)
    spending.end_call(fault(FaultKind.NO_POINTS, Reach.ANSWERED))
    assert spending.cost == Cost()


def test_a_second_call_is_added_to_the_first() -> None:
    # given
    spending = Spending(PRICE)
    spending.reach(Reach.BEGUN)
    spending.count(Usage(10, 4))
    spending.end_call()
    # when
    spending.reach(Reach.BEGUN)
    spending.count(Usage(20, 1))
    # then
    assert spending.cost == Cost(2, 0, 18 + 22, "usage", 30, 5)


def test_calls_of_an_earlier_worker_count_as_the_estimate() -> None:
    spending = Spending(PRICE, {"a token", UNHEARD, CORRECTED})
    assert spending.cost == Cost(2, 2)


def test_no_count_is_too_large_for_a_script() -> None:
    spending = Spending(Price(prompt=10**18, completion=10**18))
    for _ in range(2):
        spending.reach(Reach.BEGUN)
        spending.count(Usage(2**63 - 1, 2**63 - 1, 2**63 - 1))
        spending.end_call()
    most = MOST_TOKENS
    assert spending.cost == Cost(2, 0, 2 * MOST_POINTS, "usage", most, most, most)
