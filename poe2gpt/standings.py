"""How far budgets are spent, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poe2gpt.terminal import table

_HEAD = ("PERIOD", "LIMIT", "SPENT", "RESERVED", "RENEWS")
_NUMBERS = (1, 2, 3)


def standings_table(standings: Sequence[Mapping[str, Any]]) -> str:
    """Return lines of what `Standing.described` says of each budget."""
    return table([_HEAD, *(cells(each) for each in standings)], _NUMBERS)


def cells(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row with these values: None is nothing."""
    return tuple("" if value is None else str(value) for value in values.values())
