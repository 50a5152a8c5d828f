"""What `poe2gpt usage` prints: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import datetime
import math
from collections import Counter
from typing import Any, TextIO

import msgspec

from contract.usage import KEY, Filter, Row, Sums, Usage
from poe2gpt.terminal import table

_NONE = "-"
"""Stands for what has no name, such as the group of a key without one."""

_COLUMNS = (
    ("REQUESTS", "requests"),
    ("FAILED", "failed"),
    ("CANCELLED", "cancelled"),
    ("PROMPT", "prompt_tokens"),
    ("OUTPUT", "completion_tokens"),
    ("CACHED", "cached_tokens"),
    ("ESTIMATED", "estimated"),
    ("SETTLED", "settled"),
    ("CORRECTED", "corrected"),
    ("POINTS", "points"),
    ("UNMATCHED", "unmatched"),
)
_SELDOM = ("cancelled", "cached_tokens", "corrected", "unmatched")
"""The columns that a table has only if something is in them."""

_OF_SPREADS = ("waitMean", "waitP95", "durationMean", "durationP95")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""


class Report:
    """What was found: rows by some dimensions, and their total."""

    def __init__(self, usage: Usage, by: tuple[str, ...], wanted: Filter) -> None:
        self.by = by
        self.zone = usage.zone
        self.wanted = wanted
        self.rows = usage.rows(by)
        self.total = usage.total()


def as_table(report: Report) -> str:
    """Return lines with the total last. What cannot be printed is written as escapes."""
    every = [row.sums for row in report.rows]
    columns = [
        (head, name)
        for head, name in _COLUMNS
        if name not in _SELDOM or any(getattr(sums, name) for sums in every)
    ]
    heads = [each for each, _ in columns]
    lines = [
        (*(name.upper() for name in report.by), *heads, "WAIT", "(P95)", "TIME", "(P95)"),
        *((*values, *_cells(row.sums, columns)) for values, row in _labelled(report)),
        ("total", *[""] * (len(report.by) - 1), *_cells(report.total, columns)),
    ]
    return table(lines, right=range(len(report.by), len(lines[0])))


def _cells(sums: Sums, columns: list[tuple[str, str]]) -> list[str]:
    counts = [f"{getattr(sums, name):,}" for _, name in columns]
    return counts + [f"{seconds:.1f}" for seconds in _spreads(sums)]


def _spreads(sums: Sums) -> tuple[float, ...]:
    """Return the seconds that `_OF_SPREADS` names."""
    return (
        *(sums.wait.mean, sums.wait.percentile(0.95)),
        *(sums.duration.mean, sums.duration.percentile(0.95)),
    )


def _labelled(report: Report) -> list[tuple[list[str], Row]]:
    """Return each row with its labels; a key that shares its name has its id there too."""
    ids = {(row.values.get(KEY), row.client) for row in report.rows}
    shared = {name for name, count in Counter(name for name, _ in ids).items() if count > 1}
    labelled = []
    for row in report.rows:
        values = dict(row.values)
        if values.get(KEY) in shared:
            values[KEY] += f" ({row.client or _NONE})"
        labelled.append(([_printable(value) or _NONE for value in values.values()], row))
    return labelled


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def write_csv(report: Report, file: TextIO) -> None:
    """Write a line of names, then one for each row, without the total."""
    lines = csv.writer(file, lineterminator="\n")
    names = [*report.by, *(["keyId"] if KEY in report.by else []), *_of_sums(report.total)]
    lines.writerow(names)
    for row in report.rows:
        values = _described(row)
        lines.writerow(_cell(values[name]) for name in names)


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def as_json(report: Report) -> str:
    """Return all that is known, as one JSON object."""
    wanted = report.wanted
    found = {
        "by": report.by,
        "timeZone": report.zone,
        "since": _instant(wanted.since) if wanted.since else None,
        "until": _instant(wanted.until) if wanted.until < math.inf else None,
        "rows": [_described(row) for row in report.rows],
        "total": _of_sums(report.total),
    }
    return msgspec.json.encode(found).decode()


def _described(row: Row) -> dict[str, Any]:
    key = {"keyId": row.client} if KEY in row.values else {}
    return {**row.values, **key, **_of_sums(row.sums)}


def _of_sums(sums: Sums) -> dict[str, Any]:
    counts = {_camel(name): getattr(sums, name) for _, name in _COLUMNS}
    spreads = (round(seconds, 3) for seconds in _spreads(sums))
    return {**counts, **dict(zip(_OF_SPREADS, spreads, strict=True))}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _instant(milliseconds: float) -> str:
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return at.isoformat().replace("+00:00", "Z")
