"""How far budgets are spent, for all that show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from contract.budgets import Budget, renewal
from contract.calls.budgets import Counter, ReadCounters
from store.run import Run

PAGE = 1000
"""Counters that one script is asked about, which takes it some milliseconds."""


class Standing(msgspec.Struct, frozen=True):
    """One budget in its present period, and what was counted of it."""

    budget: Budget
    counter: Counter

    def described(self, zone: str) -> dict[str, Any]:
        """Return it as JSON has it; when it renews is told in this time zone."""
        budget, counter = self.budget, self.counter
        return {
            "period": budget.period,
            "limit": budget.limit,
            "spent": counter.spent,
            "reserved": counter.reserved,
            "renews": renewal(budget, zone) or None,
        }


async def standings(run: Run, budgets: Sequence[Budget]) -> list[Standing]:
    """Return what was counted of these budgets. Raises RedisFault."""
    counters: list[Counter] = []
    for start in range(0, len(budgets), PAGE):
        names = [budget.counter for budget in budgets[start : start + PAGE]]
        page = await run(ReadCounters(names))
        counters += page
    return [Standing(*pair) for pair in zip(budgets, counters, strict=True)]
