"""The tables that `poe2gpt export` keeps: what a record of the ledger is in SQL. Pure.

The statements are those of SQLite and of PostgreSQL. A later version may add columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from contract.ledger import Correction, LedgerRecord, Request

_REQUESTS = {
    "job": "job",
    "client": "key_id",
    "name": "key_name",
    "group": "key_group",
    "model": "model",
    "account": "account",
    "outcome": "outcome",
    "asked": "asked_ms",
    "wait": "wait_ms",
    "duration": "duration_ms",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
    "cached_tokens": "cached_tokens",
    "estimated": "estimated_points",
    "settled": "settled_points",
    "basis": "basis",
    "calls": "calls",
    "budgets": "budgets",
    "bot": "bot",
    "sent": "sent_ms",
}
"""The columns of `requests`, by the fields of a `Request`."""

_CORRECTIONS = {
    "job": "job",
    "client": "key_id",
    "name": "key_name",
    "group": "key_group",
    "model": "model",
    "account": "account",
    "points": "points",
    "reason": "reason",
    "query": "query",
    "at": "at_ms",
}

_NUMBERS = frozenset(
    {
        *("asked", "wait", "duration", "prompt_tokens", "completion_tokens", "cached_tokens"),
        *("estimated", "settled", "calls", "sent", "points", "at"),
    }
)

_LARGEST = 2**63 - 1
"""What a BIGINT holds."""

POSITION = "ledger_position"


def _table(name: str, columns: dict[str, str]) -> str:
    defined = [
        f"{to} {'BIGINT' if of in _NUMBERS else 'TEXT'} NOT NULL" for of, to in columns.items()
    ]
    return f"CREATE TABLE IF NOT EXISTS {name} (id TEXT PRIMARY KEY, {', '.join(defined)})"


SCHEMA = (
    _table("requests", _REQUESTS),
    _table("corrections", _CORRECTIONS),
    "CREATE INDEX IF NOT EXISTS requests_asked ON requests (asked_ms)",
    "CREATE INDEX IF NOT EXISTS requests_job ON requests (job)",
    "CREATE INDEX IF NOT EXISTS corrections_job ON corrections (job)",
    f"CREATE TABLE IF NOT EXISTS {POSITION} (only_row INTEGER PRIMARY KEY, id TEXT NOT NULL)",
)
"""Makes what is not there yet."""

GET_POSITION = f"SELECT id FROM {POSITION}"  # noqa: S608


def set_position(mark: str) -> str:
    """Return the statement that keeps the id of the last record; `mark` stands for it."""
    return (
        f"INSERT INTO {POSITION} (only_row, id) VALUES (1, {mark})"  # noqa: S608
        " ON CONFLICT (only_row) DO UPDATE SET id = excluded.id"
    )


def inserts(
    page: Iterable[tuple[str, LedgerRecord]], mark: str
) -> list[tuple[str, list[tuple[str | int, ...]]]]:
    """Return statements, each with the rows that it adds. What is there already stays as it is.

    `mark` stands for a value: `?` or `%s`.
    """
    records = list(page)
    kinds = (("requests", Request, _REQUESTS), ("corrections", Correction, _CORRECTIONS))
    return [
        (_insert(name, columns, mark), rows)
        for name, kind, columns in kinds
        if (rows := [_row(id_, each, columns) for id_, each in records if isinstance(each, kind)])
    ]


def _insert(name: str, columns: dict[str, str], mark: str) -> str:
    names = ["id", *columns.values()]
    marks = ", ".join([mark] * len(names))
    return (
        f"INSERT INTO {name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
        " ON CONFLICT (id) DO NOTHING"
    )


def _row(id_: str, record: LedgerRecord, columns: dict[str, str]) -> tuple[str | int, ...]:
    return (id_, *(_value(getattr(record, field)) for field in columns))


def _value(value: object) -> str | int:
    if isinstance(value, int):
        return min(value, _LARGEST)
    # PostgreSQL has no text with a NUL, and a client may name any model.
    return (value if isinstance(value, str) else json.dumps(value)).replace("\0", "\ufffd")
