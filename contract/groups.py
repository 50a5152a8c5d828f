"""Groups of keys, as far as they have budgets of their own.

A key names its group, and a group needs no record. One that is to have budgets has one, with a
field for each that is not the default, as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from contract.config import ConfigError, Settings, Source, keys_of, unknown_key
from contract.stored_keys import Points, With, check_zone
from contract.texts import is_plain

_NAME = 100
"""Characters of a name."""


class GroupTerms(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How many points the keys of a group may spend together. None: any number."""

    day_budget: Points | None = None
    week_budget: Points | None = None
    month_budget: Points | None = None
    total_budget: Points | None = None
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    """Where days begin: a name of the IANA time zone database, such as `Europe/Berlin`."""


class Group(GroupTerms, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A group that has budgets."""

    name: str


SETTABLE = tuple(keys_of(GroupTerms))
"""The names of the settings of a group."""


def changes(name: str, given: Source) -> dict[str, bytes]:
    """Check settings of a group, and return its fields in Redis; an empty one is to be deleted.

    A setting that is None gets its default. Raises ConfigError.
    """
    if not (0 < len(name) <= _NAME and is_plain(name)):
        raise ConfigError(
            f"{name[:_NAME]!r}: expected the name of a group, which is printable and at most"
            f" {_NAME} characters long"
        )
    for key in given.values:
        if key not in SETTABLE:
            raise unknown_key(given.where((key,)), key, SETTABLE)
    values = {key: value for key, value in given.values.items() if value is not None}
    terms = Settings(With(given, values)).struct(GroupTerms)
    check_zone(terms.time_zone, given)
    fields = {key: msgspec.json.encode(value) for key, value in msgspec.to_builtins(terms).items()}
    return {key: fields.get(key, b"") for key in given.values}


def group_of(name: str, fields: Mapping[str, bytes]) -> Group:
    """Read a group. Fields of a later version are left out.

    Raises msgspec.ValidationError or msgspec.DecodeError for what this version cannot read.
    """
    values = {key: msgspec.json.decode(value) for key, value in fields.items()}
    return msgspec.convert({**values, "name": name}, Group)


def described(group: Group) -> dict[str, Any]:
    """Return all settings of a group, as JSON has them."""
    return {
        "name": group.name,
        "dayBudget": group.day_budget,
        "weekBudget": group.week_budget,
        "monthBudget": group.month_budget,
        "totalBudget": group.total_budget,
        "timeZone": group.time_zone,
    }
