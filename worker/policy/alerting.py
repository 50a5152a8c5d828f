"""What an alert says, and when its delivery is tried again. Times are in seconds."""

from __future__ import annotations

import datetime
from typing import Any

from contract.alerts import Alert

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3_600.0
"""The shortest and the longest time between two tries."""

PATIENCE = 86_400.0
"""How long after the event an alert is still delivered."""

_PERIODS = {"day": "daily", "week": "weekly", "month": "monthly", "total": "total"}


def pause_after(age: float) -> float | None:
    """Return when to try again what could not be delivered at this age; None: no more.

    As long again as it has taken so far, so each pause is twice the one before.
    """
    if age >= PATIENCE:
        return None
    return min(max(age, FIRST_PAUSE), LONGEST_PAUSE)


def text_of(alert: Alert) -> str:
    """Return what people read of an alert."""
    of = f"{alert.kind} {alert.name}" if alert.kind else alert.name
    period = _PERIODS.get(alert.period, alert.period)
    state = "used up" if alert.percent >= 100 else f"{alert.percent} % spent"
    spent = f"{alert.spent:,} of {alert.limit:,} points"
    renews = f"; it renews at {_instant(alert.renews)}" if alert.renews else ""
    return f"The {period} budget of the {of} is {state}: {spent}{renews}."


def body_of(alert: Alert) -> dict[str, Any]:
    """Return the JSON that a webhook gets. Slack and what is like it show its `text`."""
    return {
        "text": text_of(alert),
        "type": "budget",
        "id": f"{alert.budget}:{alert.percent}:{alert.limit}",
        "kind": alert.kind,
        "name": alert.name,
        "period": alert.period,
        "percent": alert.percent,
        "spent": alert.spent,
        "limit": alert.limit,
        "at": _instant(alert.at),
        "renews": _instant(alert.renews) if alert.renews else None,
    }


def _instant(milliseconds: int) -> str:
    at = datetime.datetime.fromtimestamp(milliseconds // 1000, datetime.UTC)
    return at.isoformat().replace("+00:00", "Z")
