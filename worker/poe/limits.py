"""The rate limit headers of Poe's answers.

Poe documents `x-ratelimit-remaining-requests` and `-reset-requests` (seconds) on every answer of
its OpenAI API, and `Retry-After` in seconds with a 429 (creator.poe.com/api-reference/rate-limits
and /errors). Whether the bot API sends them is not documented. So each header is read if it is
there and makes sense, and nothing depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

_LONGEST = 86_400.0
"""Seconds. Poe's limits are per minute and its points come daily, so more makes no sense."""


class RateLimits(msgspec.Struct, frozen=True):
    """The state of an account's rate limit; a field is None where Poe does not send it."""

    remaining: int | None = None
    reset: float | None = None
    """Seconds until the limit is reset."""


def limits_from(headers: Mapping[str, str]) -> RateLimits | None:
    """Read the rate limit headers (lower-case names), or return None if there are none."""
    if not any(name.startswith("x-ratelimit") for name in headers):
        return None
    limits = RateLimits(
        _count(headers.get("x-ratelimit-remaining-requests")),
        _seconds(headers.get("x-ratelimit-reset-requests") or headers.get("x-ratelimit-reset")),
    )
    return None if limits == RateLimits() else limits


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After, as seconds or as a date; `now` is Unix time in seconds."""
    value = headers.get("retry-after")
    seconds = _seconds(value)
    return seconds if seconds is not None else _seconds_until(value, now)


def _count(value: str | None) -> int | None:
    seconds = _number(value)
    return int(seconds) if seconds is not None else None


def _seconds(value: str | None) -> float | None:
    seconds = _number(value)
    return seconds if seconds is not None and seconds <= _LONGEST else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds_until(date: str | None, now: float) -> float | None:
    try:
        instant = parsedate_to_datetime(date or "")
        # RFC 9110: HTTP dates are GMT, whether or not they say so.
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return min(max(instant.timestamp() - now, 0.0), _LONGEST)
    except (ValueError, OverflowError):
        return None
