"""The command `poe2gpt groups`: how many points groups of keys may spend together."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from contract.config import ConfigError, Given, Settings
from contract.groups import SETTABLE, Group, described
from poe2gpt.keys import BUDGETS, NONE, add_terms, flag_of
from poe2gpt.redis import on_redis
from poe2gpt.standings import cells, standings_table
from poe2gpt.terminal import CommandError, say, table
from poe2gpt.verbs import Verbs
from store.groups import Groups, UnknownGroup
from store.link import Link

_GROUP = "its name"

_EPILOG = """\
A key belongs to the group that it names (`poe2gpt keys set ann --group lab`). A request counts
against the budgets of its key and against those of its group. Every gateway applies a change within
a second, to requests that come after it.

examples:
  poe2gpt groups set lab --month-budget 2000000 --time-zone Europe/Berlin
  poe2gpt groups set lab --day-budget none
  poe2gpt groups show lab        # with what is spent
"""


def groups(settings: Settings, arguments: Sequence[str]) -> int:
    """Run `poe2gpt groups` with these arguments, and return the exit status.

    Raises ConfigError and CommandError.
    """
    asked = parsed(arguments)
    run = _VERBS[asked.verb]

    async def with_link(link: Link) -> None:
        await run(Groups(lambda call: link.run(call, "0")), asked)

    try:
        on_redis(settings, with_link)
    except UnknownGroup:
        why = f"the group {asked.group!r} has no budgets: see `poe2gpt groups list`"
        raise CommandError(why) from None
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse what follows `groups`. Raises ConfigError."""
    verbs = Verbs(
        "poe2gpt groups",
        description="Set how many points the keys of a group may spend together.",
        epilog=_EPILOG,
    )
    change = verbs.add("set", f"set a group's budgets; `{NONE}` removes one", "group", _GROUP)
    add_terms(change, BUDGETS)
    verbs.add("list", "list all groups that have budgets")
    verbs.add("show", "show a group, and what it has spent", "group", _GROUP)
    verbs.add("remove", "remove all budgets of a group", "group", _GROUP)
    return verbs.parsed(arguments)


async def _set(store: Groups, asked: argparse.Namespace) -> None:
    values = {name: value for name, value in vars(asked).items() if name in SETTABLE}
    if not values:
        raise ConfigError("nothing to set is given (see poe2gpt groups set --help)")
    given = Given(values, {name: flag_of(name) for name in SETTABLE})
    await _print(store, await store.change(asked.group, given), asked.json)


async def _list(store: Groups, asked: argparse.Namespace) -> None:
    found = await store.list()
    if asked.json:
        print(msgspec.json.encode([described(group) for group in found]).decode())
        return
    head = ("NAME", "DAY", "WEEK", "MONTH", "TOTAL", "ZONE")
    print(table([head, *(cells(described(group)) for group in found)]))


async def _show(store: Groups, asked: argparse.Namespace) -> None:
    await _print(store, await store.show(asked.group), asked.json)


async def _remove(store: Groups, asked: argparse.Namespace) -> None:
    group = await store.remove(asked.group)
    if asked.json:
        print(msgspec.json.encode(described(group)).decode())
    else:
        say(f"the group {group.name} has no budgets any longer")


_VERBS: dict[str, Callable[[Groups, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "set": _set,
    "list": _list,
    "show": _show,
    "remove": _remove,
}


async def _print(store: Groups, group: Group, as_json: bool) -> None:
    spent = [each.described(group.time_zone) for each in await store.standings(group)]
    if as_json:
        print(msgspec.json.encode({**described(group), "budgets": spent}).decode())
        return
    print(table([("name", group.name), ("timeZone", group.time_zone)]))
    print(standings_table(spent))
