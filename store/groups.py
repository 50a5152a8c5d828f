"""What can be done with groups' budgets, for all that administer them: a command, a service."""

from __future__ import annotations

import builtins
import time

from contract.budgets import budgets_of
from contract.calls.budgets import ReadGroups, RemoveGroup, SetGroup
from contract.config import Source
from contract.groups import Group, changes
from store.budgets import Standing, standings
from store.run import Run


class UnknownGroup(Exception):
    """No group of this name has budgets."""


class Groups:
    """The groups of one deployment that have budgets. All raise RedisFault."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def list(self) -> builtins.list[Group]:
        """Return all groups, by their names."""
        return await self._run(ReadGroups())

    async def show(self, name: str) -> Group:
        """Return a group. Raises UnknownGroup."""
        found = await self._run(ReadGroups([name]))
        if not found:
            raise UnknownGroup
        return found[0]

    async def standings(self, group: Group) -> builtins.list[Standing]:
        """Return how far a group's budgets are spent."""
        budgets = budgets_of("group", group.name, group.name, group, time.time())
        return await standings(self._run, budgets)

    async def change(self, name: str, given: Source) -> Group:
        """Set what is given of a group; None gives a setting its default.

        The group is made if there is none. Raises ConfigError.
        """
        await self._run(SetGroup(name, changes(name, given)))
        return await self.show(name)

    async def remove(self, name: str) -> Group:
        """Remove a group's budgets, and return what they were. Raises UnknownGroup."""
        group = await self.show(name)
        if not await self._run(RemoveGroup(name)):
            raise UnknownGroup
        return group
