"""What `poe2gpt usage` prints: a table for people, and JSON for programs."""

from __future__ import annotations

import datetime
import math
from collections import Counter

import msgspec

from contract.usage import KEY, Filter, Row, Sums, Usage
from contract.usage_rows import COUNTS, described, of_sums, spreads
from poe2gpt.terminal import table

_NONE = "-"
"""Stands for what has no name, such as the group of a key without one."""

_HEADS = {"prompt_tokens": "PROMPT", "completion_tokens": "OUTPUT", "cached_tokens": "CACHED"}
"""What those columns are called that are not called as the sums are."""

_SELDOM = ("cancelled", "cached_tokens", "corrected", "unmatched")
"""The columns that a table has only if something is in them."""


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
        (_HEADS.get(name, name.upper()), name)
        for name in COUNTS
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
    return counts + [f"{seconds:.1f}" for seconds in spreads(sums)]


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


def as_json(report: Report) -> str:
    """Return all that is known, as one JSON object."""
    wanted = report.wanted
    found = {
        "by": report.by,
        "timeZone": report.zone,
        "since": _instant(wanted.since) if wanted.since else None,
        "until": _instant(wanted.until) if wanted.until < math.inf else None,
        "rows": [described(row) for row in report.rows],
        "total": of_sums(report.total),
    }
    return msgspec.json.encode(found).decode()


def _instant(milliseconds: float) -> str:
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return at.isoformat().replace("+00:00", "Z")
