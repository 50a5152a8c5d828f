"""Budgets as the page shows them: bars of what is spent and reserved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from contract.budgets import Budget, Period
from contract.groups import Group
from contract.stored_keys import StoredKey
from store.budgets import Standing, standings
from store.run import Run


class Bar(msgspec.Struct, frozen=True):
    """One budget, and what was counted of it. In points."""

    period: Period
    limit: int
    spent: int
    reserved: int
    renews: int
    """Unix time in milliseconds. 0: never."""

    @property
    def left(self) -> int:
        return max(self.limit - self.spent - self.reserved, 0)


def groups_of(keys: Iterable[StoredKey], groups: Iterable[Group]) -> list[Group]:
    """Return the groups that have keys or budgets, by their names."""
    known = {key.group: Group(name=key.group) for key in keys if key.group}
    known |= {group.name: group for group in groups}
    return sorted(known.values(), key=lambda group: group.name.casefold())


async def read_bars(run: Run, budgets: Sequence[Sequence[Budget]]) -> list[list[Bar]]:
    """Return the bars of several owners, in their order. Raises RedisFault."""
    found = iter(await standings(run, [budget for each in budgets for budget in each]))
    return [[_bar(next(found)) for _ in each] for each in budgets]


def _bar(standing: Standing) -> Bar:
    # The limit is what is set now: the counter has the one of when it was used last.
    budget, counter = standing.budget, standing.counter
    return Bar(budget.period, budget.limit, counter.spent, counter.reserved, budget.renews)
