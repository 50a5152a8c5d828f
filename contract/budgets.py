"""Budgets: how many points a key, or a group of keys, may spend in a day, week, month, or in all.

A request counts in the period in which it was asked, in the time zone of whose budget it is. Each
period has a counter of its own in Redis, and nothing needs to be reset. Pure.
"""

from __future__ import annotations

import datetime
from typing import Literal, Protocol

import msgspec

from contract.time_zones import time_zone

Kind = Literal["key", "group"]
Period = Literal["day", "week", "month", "total"]

SHORT = "This request may cost {estimate} points, and {left} are left of {budget}."
"""What a client is told for whose request a budget does not suffice."""

AGAIN = (
    "The request has to be asked once more, which may cost {estimate} points,"
    " and {left} are left of {budget}."
)
"""The same, after a call that may have been paid for."""


class Limits(Protocol):
    """The most points of a key or a group: None is any number."""

    @property
    def day_budget(self) -> int | None: ...

    @property
    def week_budget(self) -> int | None: ...

    @property
    def month_budget(self) -> int | None: ...

    @property
    def total_budget(self) -> int | None: ...

    @property
    def time_zone(self) -> str: ...


class Budget(msgspec.Struct, frozen=True, array_like=True):
    """One budget, in the period that an instant belongs to."""

    counter: str
    """Names what is counted: `key:<id>:day:2026-11-27`, `group:<name>:total`."""
    limit: int
    """Points."""
    renews: int
    """Unix time in milliseconds at which the next period begins. 0: none follows."""
    kind: Kind
    name: str
    """The key's or the group's, for people."""
    period: Period
    title: str
    """What it is called in an error."""


_PERIODS = {"day": "daily", "week": "weekly", "month": "monthly", "total": "total"}


def budgets_of(kind: Kind, id_: str, name: str, limits: Limits, now: float) -> tuple[Budget, ...]:
    """Return the budgets of a key or a group at `now`, in seconds of Unix time.

    `id_` names it for ever: a key's id, a group's name.
    """
    points: dict[Period, int | None] = {
        "day": limits.day_budget,
        "week": limits.week_budget,
        "month": limits.month_budget,
        "total": limits.total_budget,
    }
    if all(most is None for most in points.values()):
        return ()
    zone = _zone(limits.time_zone)
    today = datetime.datetime.fromtimestamp(now, zone).date()
    owner = "this API key" if kind == "key" else f"the group {name!r}"
    found = []
    for period, most in points.items():
        if most is None:
            continue
        label, following = _label(period, today)
        renews = _midnight(following, zone) if following else None
        title = f"the {_PERIODS[period]} budget of {owner} ({most} points), {_told(renews)}"
        ms = int(renews.timestamp() * 1000) if renews else 0
        found.append(Budget(f"{kind}:{id_}:{label}", most, ms, kind, name, period, title))
    return tuple(found)


def renewal(budget: Budget, zone: str = "UTC") -> str:
    """Return when a budget renews, as RFC 3339 has it, in this zone; empty: never."""
    if not budget.renews:
        return ""
    return datetime.datetime.fromtimestamp(budget.renews / 1000, _zone(zone)).isoformat()


def _zone(name: str) -> datetime.tzinfo:
    """Return a time zone; UTC where this machine does not know it, though another did."""
    return time_zone(name) or datetime.UTC


def _told(renews: datetime.datetime | None) -> str:
    return f"which renews at {renews.isoformat()}" if renews else "which does not renew"


def _label(period: Period, day: datetime.date) -> tuple[str, datetime.date | None]:
    """Return what the period of a day is called, and the first day of the next one."""
    match period:
        case "day":
            return f"day:{day}", day + datetime.timedelta(days=1)
        case "week":
            monday = day - datetime.timedelta(days=day.weekday())
            return f"week:{monday}", monday + datetime.timedelta(days=7)
        case "month":
            following = (day.replace(day=1) + datetime.timedelta(days=31)).replace(day=1)
            return f"month:{day:%Y-%m}", following
        case "total":
            return "total", None


def _midnight(day: datetime.date, zone: datetime.tzinfo) -> datetime.datetime:
    """Return the instant at which a day begins, which is not midnight where clocks skip that."""
    midnight = datetime.datetime.combine(day, datetime.time(), zone)
    return midnight.astimezone(datetime.UTC).astimezone(zone)
