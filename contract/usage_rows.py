"""Rows of what was asked and what it cost, for programs: as values, and as CSV. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from contract.usage import KEY, Row, Sums

COUNTS = (
    "requests",
    "failed",
    "cancelled",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "estimated",
    "settled",
    "corrected",
    "points",
    "unmatched",
)
"""The sums that are integers, in the order in which they are shown."""

_OF_SPREADS = ("waitMean", "waitP95", "durationMean", "durationP95")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""


def described(row: Row) -> dict[str, Any]:
    """Return what there is to know of a row, by name; times are in seconds."""
    key = {"keyId": row.client} if KEY in row.values else {}
    return {**row.values, **key, **of_sums(row.sums)}


def of_sums(sums: Sums) -> dict[str, Any]:
    """Return sums by name; times are in seconds."""
    counts = {_camel(name): getattr(sums, name) for name in COUNTS}
    rounded = (round(seconds, 3) for seconds in spreads(sums))
    return {**counts, **dict(zip(_OF_SPREADS, rounded, strict=True))}


def spreads(sums: Sums) -> tuple[float, ...]:
    """Return mean and 95th percentile of the waits, then of the durations, in seconds."""
    return (
        *(sums.wait.mean, sums.wait.percentile(0.95)),
        *(sums.duration.mean, sums.duration.percentile(0.95)),
    )


def write_csv(by: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """Write a line of names, then one for each row; the rows tell the dimensions `by` apart."""
    lines = csv.writer(file, lineterminator="\n")
    names = [*by, *(["keyId"] if KEY in by else []), *of_sums(Sums())]
    lines.writerow(names)
    for row in rows:
        values = described(row)
        lines.writerow(_cell(values[name]) for name in names)


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
