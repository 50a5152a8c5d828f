"""Sums over records of the ledger."""

from __future__ import annotations

import random
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.ledger import Correction, LedgerRecord, Request
from contract.usage import COUNTS, DIMENSIONS, MOST_MODELS, OTHER, Filter, Spread, Sums, Usage

NOON = 1_795_780_800_000
"""2026-11-27 12:00 UTC, in ms."""
HOUR = 3_600_000


def asked(**fields: Any) -> Request:
    return Request(
        **{"job": "j", "client": "1", "name": "ann", "model": "m", "asked": NOON, **fields}
    )


def corrected(**fields: Any) -> Correction:
    return Correction(
        **{"job": "j", "client": "1", "name": "ann", "model": "m", "at": NOON, **fields}
    )


def usage_of(*records: LedgerRecord, zone: str = "UTC") -> Usage:
    usage = Usage(zone)
    for record in records:
        usage.add(record)
    return usage


def test_requests_failures_tokens_and_points_are_summed() -> None:
    total = usage_of(
        asked(prompt_tokens=1, completion_tokens=2, cached_tokens=1, estimated=9, settled=5),
        asked(prompt_tokens=10, completion_tokens=20, estimated=9, settled=7),
        asked(outcome="cancelled", estimated=9, settled=9),
        asked(outcome="rate_limited", estimated=9),
        corrected(points=-2),
        corrected(points=1),
        corrected(job="", client="", name="", points=100, reason="unmatched"),
    ).total()

    assert {name: getattr(total, name) for name in (*COUNTS, "points")} == {
        "requests": 4,
        "failed": 1,
        "cancelled": 1,
        "prompt_tokens": 11,
        "completion_tokens": 22,
        "cached_tokens": 1,
        "estimated": 36,
        "settled": 21,
        "corrected": -1,
        "points": 20,
        "unmatched": 100,
    }


def test_a_row_is_a_combination_of_values_and_the_dearest_come_first() -> None:
    usage = usage_of(
        asked(client="1", name="ann", model="a", settled=1),
        asked(client="1", name="ann", model="b", settled=5),
        asked(client="2", name="ben", model="a", settled=4),
        asked(client="2", name="ben", model="b", settled=4, group="lab"),
    )

    by_key_and_model = [(row.values, row.sums.points) for row in usage.rows(("key", "model"))]

    assert by_key_and_model == [
        ({"key": "ben", "model": "a"}, 4),
        ({"key": "ben", "model": "b"}, 4),
        ({"key": "ann", "model": "b"}, 5),
        ({"key": "ann", "model": "a"}, 1),
    ]
    assert [row.values["group"] for row in usage.rows(("group",))] == ["", "lab"]


def test_days_are_in_their_order() -> None:
    usage = usage_of(asked(settled=1), asked(asked=NOON + 24 * HOUR, settled=9))

    assert [row.values["day"] for row in usage.rows(("day",))] == ["2026-11-27", "2026-11-28"]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", "2026-11-27"),
        ("Pacific/Kiritimati", "2026-11-28"),  # 14 h ahead
        ("Asia/Kathmandu", "2026-11-27"),
    ],
)
def test_a_day_is_a_day_of_the_zone(zone: str, day: str) -> None:
    assert usage_of(asked(), zone=zone).rows(("day",))[0].values == {"day": day}


def test_a_day_begins_at_the_zones_midnight_to_the_millisecond() -> None:
    midnight = NOON + 6 * HOUR + 15 * 60_000  # in Kathmandu, which is 5:45 ahead

    usage = usage_of(asked(asked=midnight - 1), asked(asked=midnight), zone="Asia/Kathmandu")

    assert [row.sums.requests for row in usage.rows(("day",))] == [1, 1]


def test_a_correction_of_any_instant_is_counted() -> None:
    usage = usage_of(corrected(at=-1, points=1), corrected(at=2**62, points=1))

    assert usage.total().corrected == 2


def test_a_key_that_was_renamed_is_one_row_under_its_last_name() -> None:
    usage = usage_of(asked(name="ann"), asked(name="anna"))

    (row,) = usage.rows(("key",))

    assert (row.values, row.client, row.sums.requests) == ({"key": "anna"}, "1", 2)


def test_rows_can_be_had_of_some_days_keys_groups_and_models() -> None:
    usage = usage_of(
        asked(),
        asked(client="2", name="ben", group="lab"),
        asked(model="other"),
        asked(asked=NOON + 24 * HOUR),
    )

    def requests(**chosen: Any) -> int:
        return usage.total(usage.rows(("day", "key"), **chosen)).requests

    assert requests() == 4
    assert requests(since="2026-11-28") == requests(groups=frozenset({"lab"})) == 1
    assert requests(until="2026-11-27") == 3
    assert requests(keys=frozenset({"ben"})) == requests(keys=frozenset({"2"})) == 1
    assert requests(models=frozenset({"m"})) == 3


def test_a_filter_passes_what_was_asked_in_its_period() -> None:
    chosen = Filter(since=NOON, until=NOON + 1)

    assert [chosen.passes(asked(asked=NOON + each)) for each in (-1, 0, 1)] == [False, True, False]
    assert chosen.passes(corrected())


@pytest.mark.parametrize(
    ("chosen", "passes"),
    [
        (Filter(keys=frozenset({"ann"})), True),
        (Filter(keys=frozenset({"1", "ben"})), True),
        (Filter(keys=frozenset({"ben"})), False),
        (Filter(groups=frozenset({"lab"})), False),
        (Filter(models=frozenset({"m"})), True),
        (Filter(models=frozenset({"n"})), False),
    ],
)
def test_a_filter_passes_keys_by_name_or_id_and_groups_and_models(
    chosen: Filter, passes: bool
) -> None:
    assert chosen.passes(asked(model="M")) == chosen.passes(corrected(model="M")) == passes


def test_a_client_that_names_ever_new_models_fills_no_memory() -> None:
    usage = Usage()
    for number in range(3 * MOST_MODELS):
        usage.add(asked(model=f"m{number}", settled=1))
    usage.add(asked(model="m0", asked=NOON + 24 * HOUR))

    rows = usage.rows(("model",))

    assert len(rows) == MOST_MODELS + 1
    assert (rows[0].values["model"], rows[0].sums.points) == (OTHER, 2 * MOST_MODELS)


def test_days_can_be_forgotten() -> None:
    usage = usage_of(asked(), asked(asked=NOON + 24 * HOUR))

    usage.forget("2026-11-28")

    assert [row.values["day"] for row in usage.rows(("day",))] == ["2026-11-28"]


@given(st.lists(st.integers(0, 10**7), min_size=1))
def test_percentiles_are_within_3_percent(durations: list[int]) -> None:
    spread = Spread()
    for each in durations:
        spread.add(each)

    truth = sorted(durations)[-(-len(durations) * 95 // 100) - 1]
    assert spread.percentile(0.95) * 1000 == pytest.approx(truth, rel=0.03, abs=1)
    assert spread.mean * 1000 == pytest.approx(statistics.mean(durations))


def test_nothing_has_a_mean_and_a_percentile() -> None:
    assert (Spread().mean, Spread().percentile(0.95)) == (0, 0)


def test_what_is_not_told_apart_is_summed_just_as_well() -> None:
    chance = random.Random(1)
    records = [
        asked(
            client=str(chance.randrange(3)),
            model=str(chance.randrange(3)),
            asked=NOON + chance.randrange(99) * HOUR,
            settled=chance.randrange(9),
            wait=chance.randrange(99),
        )
        for _ in range(200)
    ]
    whole = usage_of(*records)

    for by in DIMENSIONS:
        part = Usage(by=(by,))
        for record in records:
            part.add(record)
        assert [told(row.sums) for row in part.rows((by,))] == [
            told(row.sums) for row in whole.rows((by,))
        ]


def told(sums: Sums) -> tuple[object, ...]:
    return (sums.requests, sums.points, sums.wait.mean, sums.wait.percentile(0.5))
