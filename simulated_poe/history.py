"""GET /usage/points_history: what each account was charged for, the newest row first.

Documented are the fields of a row and of a page, that a page has 1 to 100 rows (20 by default),
and that `starting_after` names the last row of the page before. A test can have it misbehave: see
`History`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any, Literal

import msgspec
import orjson
from aiohttp import web

from simulated_poe import failures
from simulated_poe.accounts import Account, Holder, fingerprint
from simulated_poe.charges import Charge

_DEFAULT, _MOST = 20, 100
_POINTS_PER_USD = 33_000


class Row(msgspec.Struct, frozen=True):
    """One row."""

    at: float
    """Unix time in seconds."""
    bot: str
    charge: Charge
    usage_type: Literal["API", "Chat", "Canvas App"] = "API"
    key_name: str | None = None
    visible: float = 0.0
    """Unix time from which it is shown."""
    query_id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)

    def shown(self, *, breakdown: bool, ahead: float = 0.0) -> dict[str, Any]:
        """Return the row as Poe writes it; times are in microseconds.

        `ahead` is by how many seconds Poe's clock is.
        """
        points = self.charge.points
        return {
            "creation_time": int((self.at + ahead) * 1_000_000),
            "bot_name": self.bot,
            "query_id": self.query_id,
            "usage_type": self.usage_type,
            "cost_points": points,
            "cost_usd": f"{points / _POINTS_PER_USD:.6f}",
            "cost_breakdown_in_points": self.charge.breakdown if breakdown else None,
            "api_key_name": self.key_name,
            "chat_name": "A chat" if self.usage_type == "Chat" else None,
        }


class History:
    """Answers questions about the history of accounts.

    Calls that end are in it `delay` seconds later. Rows have no breakdown if `breakdown` is not
    set. Poe's clock is `ahead` by so many seconds. `statuses` are those of the next answers. With
    `repeats`, a page begins with the last row of the page before. `asked` lists the accounts whose
    history was asked for.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.breakdown = True
        self.ahead = 0.0
        self.statuses: list[int] = []
        self.repeats = False
        self.asked: list[str] = []

    def __repr__(self) -> str:
        return f"History(asked {len(self.asked)} times)"

    def answer(
        self, holder: Holder | None, account: Account | None, query: dict[str, str], now: float
    ) -> web.Response:
        """Return a page of an account's history."""
        if holder is None or account is None:
            return _refused(401)
        self.asked.append(account.name)
        if self.statuses:
            return _refused(self.statuses.pop(0))
        try:
            limit = int(query.get("limit", _DEFAULT))
        except ValueError:
            limit = 0
        rows = sorted((r for r in account.rows if r.visible <= now), key=lambda r: -r.at)
        start = self._start(rows, query.get("starting_after"))
        if not 1 <= limit <= _MOST or start is None:
            return _refused(400)
        page = rows[start : start + limit]
        body = {
            "has_more": start + limit < len(rows),
            "length": len(page),
            "data": [row.shown(breakdown=self.breakdown, ahead=self.ahead) for row in page],
        }
        return _json(body, headers={"Date": formatdate(now + self.ahead, usegmt=True)})

    def _start(self, rows: Sequence[Row], after: str | None) -> int | None:
        if after is None:
            return 0
        place = next((n for n, row in enumerate(rows) if row.query_id == after), None)
        return None if place is None else place + 1 - self.repeats


def name_of(key: str) -> str:
    """Return the name that the owner of a key gave it."""
    return f"key {fingerprint(key)[:6]}"


def _refused(status: int) -> web.Response:
    failure = failures.FAILURES[status]
    headers = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
    return _json(failures.body(failure, "b"), status, headers)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )
