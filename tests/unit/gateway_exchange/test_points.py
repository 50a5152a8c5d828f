"""What a request may cost, and what its client is told of that."""

from __future__ import annotations

import pytest

from contract.budgets import Budget
from contract.calls.gateway import Rejection, Ticket
from contract.messages import Message, Model, Options
from contract.prices import Price
from gateway.dialect import Ask
from gateway.exchange.estimate import USUAL_ANSWER, points_of
from gateway.exchange.points import of_refusal, of_ticket, short_of_points
from gateway.problems import Kind

A_POINT = 10**15 // 33_000
DAY = Budget("key:a:day:2026-11-27", 900, 1_795_824_000_000, "key", "a", "day", "the day budget")
TOTAL = Budget("key:a:total", 50, 0, "key", "a", "total", "the total budget")
ASK = Ask("m", (Message("user", "hello"),), prompt_tokens=10)


def model(price: Price | None, most: int | None = None) -> Model:
    return Model("m", 0, "poe", price=price, max_output_tokens=most)


@pytest.mark.parametrize(
    ("max_tokens", "most", "answer"),
    [
        pytest.param(None, None, USUAL_ANSWER, id="nobody says"),
        pytest.param(None, 300, 300, id="the model writes less"),
        pytest.param(8, 300, 8, id="the client wants less"),
        pytest.param(5000, 300, 300, id="the client wants more than there is"),
        pytest.param(5000, None, 5000, id="the client wants much"),
    ],
)
def test_an_answer_counts_as_long_as_it_may_be(
    max_tokens: int | None, most: int | None, answer: int
) -> None:
    price = Price(prompt=A_POINT, completion=2 * A_POINT)
    points = points_of(ASK, Options(max_tokens=max_tokens), model(price, most), 100)
    assert points == 10 + 2 * answer


def test_a_flat_price_is_the_estimate_and_an_unknown_one_the_default() -> None:
    assert points_of(ASK, Options(), model(Price(request=7 * A_POINT)), 100) == 7
    assert points_of(ASK, Options(), model(Price()), 100) == 0
    assert points_of(ASK, Options(), model(None), 100) == 100
    assert points_of(ASK, Options(), None, 100) == 100


def test_an_answer_says_its_estimate_and_what_is_left_of_the_tightest_budget() -> None:
    free = of_ticket(Ticket(1, 1), 7, [])
    daily = of_ticket(Ticket(1, 1, tightest=0, points_left=40), 7, [DAY, TOTAL])
    total = of_ticket(Ticket(1, 1, tightest=1, points_left=0), 7, [DAY, TOTAL])

    assert free == [("x-points-estimate", "7")]
    assert daily == [
        ("x-points-estimate", "7"),
        ("x-points-limit", "900"),
        ("x-points-remaining", "40"),
        ("x-points-renews", "2026-11-28T00:00:00+00:00"),
    ]
    assert total == [
        ("x-points-estimate", "7"),
        ("x-points-limit", "50"),
        ("x-points-remaining", "0"),
    ]


def test_a_refusal_names_the_budget_and_asks_nobody_to_come_back_soon() -> None:
    refusal = Rejection("short", 1, 3)

    problem = short_of_points(refusal, 7, [DAY, TOTAL])

    assert problem.kind is Kind.NO_POINTS
    assert problem.message == (
        "This request may cost 7 points, and 3 are left of the total budget."
    )
    assert problem.retry_after is None
    assert dict(of_refusal(refusal, 7, [DAY, TOTAL]))["x-points-remaining"] == "3"
