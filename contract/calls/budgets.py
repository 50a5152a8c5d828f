"""The calls about budgets, and the groups that have some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from contract.calls.call import Call, Word, hash_of, words_of
from contract.groups import Group, group_of


class Counter(msgspec.Struct, frozen=True):
    """What was counted of one budget, in points."""

    spent: int
    reserved: int
    """For requests that run."""
    limit: int
    """The budget, when something was counted last."""


class ReadCounters(Call[list[Counter]], frozen=True):
    """Ask what was counted under these names, in their order; nothing is 0."""

    script: ClassVar[str] = "read_counters"

    counters: Sequence[str]

    def arguments(self) -> list[Word]:
        return list(self.counters)

    def read(self, reply: Any) -> list[Counter]:
        return [Counter(*counts) for counts in reply]


class ReadGroups(Call[list[Group]], frozen=True):
    """Read these of the groups that have budgets, or all of them, by their names.

    Reading the reply raises msgspec.DecodeError for a group that this version cannot read.
    """

    script: ClassVar[str] = "read_groups"

    names: Sequence[str] = ()

    def arguments(self) -> list[Word]:
        return list(self.names)

    def read(self, reply: Any) -> list[Group]:
        groups = [group_of(name.decode(), hash_of(fields)) for name, fields in reply]
        return sorted(groups, key=lambda group: group.name)


class SetGroup(Call[None], frozen=True):
    """Set these fields of a group, which it makes if there is none; an empty one is deleted."""

    script: ClassVar[str] = "set_group"

    name: str
    fields: Mapping[str, bytes]

    def arguments(self) -> list[Word]:
        return [self.name, *words_of(self.fields)]

    def read(self, reply: Any) -> None:
        """There is nothing to read."""


class RemoveGroup(Call[bool], frozen=True):
    """Remove the budgets of a group. Returns whether it had any."""

    script: ClassVar[str] = "remove_group"

    name: str

    def arguments(self) -> list[Word]:
        return [self.name]

    def read(self, reply: Any) -> bool:
        return bool(reply)
