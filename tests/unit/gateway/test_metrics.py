"""The metrics of points."""

from __future__ import annotations

from typing import Any

from contract.ledger import Correction, Request
from gateway.metrics import MOST_NAMES, Metrics


def points(metrics: Metrics) -> dict[str, float]:
    """What is counted, by the labels."""
    lines = [line for line in metrics.render().decode().splitlines() if "points_total{" in line]
    told = [line.removeprefix("poe2gpt_").rpartition(" ") for line in lines]
    return {labels: float(value) for labels, _, value in told}


def asked(**fields: Any) -> Request:
    return Request(**{"job": "j", "client": "1", "name": "ann", "model": "m", **fields})


def test_points_are_counted_by_key_and_model() -> None:
    metrics = Metrics("g")

    for record in (asked(settled=2), asked(settled=3), asked(name="", model="n", settled=1)):
        metrics.spend(record)

    assert points(metrics) == {
        'points_total{key="ann",model="m"}': 5,
        'points_total{key="",model="n"}': 1,
    }


def test_corrections_are_counted_by_their_direction() -> None:
    metrics = Metrics("g")

    for change in (5, 1, -2):
        metrics.spend(Correction(job="j", points=change))
    metrics.spend(Correction(job="", points=100))  # none of ours

    assert points(metrics) == {
        'corrected_points_total{direction="up"}': 6,
        'corrected_points_total{direction="down"}': 2,
    }


def test_only_so_many_names_are_told_apart_and_what_costs_nothing_takes_none() -> None:
    metrics = Metrics("g")

    for number in range(MOST_NAMES):
        metrics.spend(asked(model=f"free-{number}"))
    for number in range(MOST_NAMES + 2):
        metrics.spend(asked(model=f"m{number}", settled=1))

    found = points(metrics)
    assert len(found) == MOST_NAMES + 1
    assert found['points_total{key="ann",model="other"}'] == 2
