"""What a call costs by Poe's pricing."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.prices import POINTS_PER_USD, Price, price_of

SONNET = {
    "prompt": "0.0000025758",
    "completion": "0.000012879",
    "image": None,
    "request": None,
    "input_cache_read": "0.00000025758",
    "input_cache_write": "0.0000032197",
}


def price(**pricing: object) -> Price | None:
    return price_of({"id": "m", "pricing": pricing})


def test_reads_prices_as_poe_writes_them() -> None:
    assert price(**SONNET) == Price(
        prompt=2_575_800_000,
        completion=12_879_000_000,
        cache_read=257_580_000,
        cache_write=3_219_700_000,
    )


def test_a_price_for_a_call_is_flat() -> None:
    read = price(prompt=None, completion=None, request="0.0039")

    assert read == Price(request=3_900_000_000_000)
    assert read.is_flat
    # 0.0039 USD are 128.7 points.
    assert read.points(10_000, 50) == 129
    assert read.estimate(0, 0) == 129


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"pricing": None},
        {"pricing": "0.1"},
        {"pricing": []},
        {"pricing": {}},
        {"pricing": {"image": "0.000030303"}},
        {"pricing": {"prompt": "0.1", "completion": None}},
        {"pricing": {"prompt": None, "completion": "0.1"}},
    ],
)
def test_what_poe_does_not_say_is_not_known(item: dict[str, object]) -> None:
    assert price_of(item) is None


@pytest.mark.parametrize(
    "junk",
    [
        *("", "free", "-1", "-0.1", "NaN", "sNaN", "Infinity", "1e400", "1001", None, True, [], {}),
        *(float("nan"), float("inf"), -1, pytest.param(10**5000, id="10^5000")),
    ],
)
def test_junk_counts_as_not_known(junk: object) -> None:
    assert price(request=junk) is None
    assert price(prompt=junk, completion="0.1") is None
    read = price(prompt="0.1", completion="0.2", input_cache_read=junk, request=junk)
    assert read == price(prompt="0.1", completion="0.2")


def test_numbers_are_read_like_strings() -> None:
    assert price(prompt=2.5758e-06, completion=0) == price(prompt="0.0000025758", completion="0")


def test_a_free_model_costs_nothing() -> None:
    free = price(prompt="0", completion="0")

    assert free is not None
    assert free.points(1_000_000, 1_000_000, 5) == 0


def test_points_are_rounded_up() -> None:
    sonnet = price(**SONNET)

    assert sonnet is not None
    # 100 × 0.0000025758 USD × 33,000 = 8.50014 points.
    assert sonnet.points(100, 0) == 9
    assert sonnet.points(0, 0) == 0
    assert sonnet.points(1, 0) == 1


def test_tokens_of_a_cache_have_prices_of_their_own() -> None:
    sonnet = price(**SONNET)

    assert sonnet is not None
    assert sonnet.points(1000, 0) == 86
    assert sonnet.points(1000, 0, cached_tokens=1000) == 9
    assert sonnet.points(1000, 0, written_tokens=1000) == 107
    # More than all cannot have been read.
    assert sonnet.points(1000, 0, cached_tokens=5000, written_tokens=5000) == 9


def test_without_a_price_of_its_own_a_cached_token_costs_as_any_other() -> None:
    read = price(prompt="0.001", completion="0.001")

    assert read is not None
    assert read.points(10, 0, cached_tokens=10, written_tokens=0) == read.points(10, 0)


@given(
    st.decimals(0, 1, places=12),
    st.decimals(0, 1, places=12),
    st.integers(0, 10_000_000),
    st.integers(0, 10_000_000),
)
def test_the_arithmetic_is_exact(prompt: object, completion: object, asked: int, told: int) -> None:
    read = price(prompt=str(prompt), completion=str(completion))

    assert read is not None
    usd = Fraction(str(prompt)) * asked + Fraction(str(completion)) * told
    assert usd * POINTS_PER_USD <= read.points(asked, told) < usd * POINTS_PER_USD + 1


@given(
    st.lists(st.integers(0, 10**18), min_size=3, max_size=3), st.lists(st.integers(), min_size=4)
)
def test_no_count_makes_a_call_cost_less_than_nothing(prices: list[int], counts: list[int]) -> None:
    read = Price(prices[0], prices[1], request=prices[2])

    assert read.points(*counts[:4]) >= 0
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read), type=Price) == read


def test_a_model_with_a_price_for_images_only_is_not_free() -> None:
    assert price(prompt="0", completion="0", image="0.000030303") is None
    assert price(prompt="0", completion="0", image="0") == Price()
