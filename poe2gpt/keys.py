"""The command `poe2gpt keys`: access tokens that are made while the service runs."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from contract import stored_keys, texts
from contract.config import ConfigError, Given, Settings
from contract.stored_keys import StoredKey
from poe2gpt.flags import number
from poe2gpt.redis import on_redis
from poe2gpt.standings import standings_table
from poe2gpt.terminal import CommandError, say, table
from poe2gpt.verbs import Verbs
from store.link import Link
from store.stored_keys import NameTaken, StoredKeys, UnknownKey

NONE = "none"
"""What a setting is set to, to have its default again."""

GRACE = "24h"

_KEY = "its name or its id"

_EPILOG = """\
A key is named by its name or its id. Its secret is shown once, by `add` and `rotate`; Redis holds
only a digest of it. Every gateway applies a change within a second, and cuts no running answer.

examples:
  poe2gpt keys add ann --group lab --rate-limit 60 --models "gpt-*,claude-haiku-4.5" --expires 90d
  poe2gpt keys set ann --month-budget 200000 --time-zone Europe/Berlin --rate-limit none
  poe2gpt keys rotate ann --grace 0        # a key that has leaked
"""

Terms = Mapping[str, tuple[Callable[[str], Any], str, str]]
"""How each setting is read, what stands for its value in the help, and its meaning."""

BUDGETS: Terms = {
    "dayBudget": (number, "POINTS", "the most points in a day"),
    "weekBudget": (number, "POINTS", "the most points in a week, from Monday on"),
    "monthBudget": (number, "POINTS", "the most points in a month"),
    "totalBudget": (number, "POINTS", "the most points ever"),
    "timeZone": (str, "ZONE", "where days begin, such as Europe/Berlin (UTC)"),
}

_TERMS: Terms = {
    "group": (str, "GROUP", "the team that the client belongs to"),
    "weight": (number, "N", "its share of the calls while other clients wait too (1)"),
    "maxConcurrent": (number, "N", "the most requests at a time, queued ones included"),
    "rateLimit": (number, "N", "the most requests in any 60 seconds"),
    "models": (texts.listed, "NAMES", "the models it may use, comma-separated; * matches any text"),
    "expires": (
        str,
        "WHEN",
        "its last day (2027-12-31, UTC), a time (2027-12-31T18:00:00Z), or a span from now (30d)",
    ),
    **BUDGETS,
}


def keys(settings: Settings, arguments: Sequence[str]) -> int:
    """Run `poe2gpt keys` with these arguments, and return the exit status.

    Raises ConfigError and CommandError.
    """
    asked = parsed(arguments)
    run = _VERBS[asked.verb]

    async def with_link(link: Link) -> None:
        await run(StoredKeys(lambda call: link.run(call, "0")), asked)

    try:
        on_redis(settings, with_link)
    except UnknownKey:
        raise CommandError(_unknown(asked.key)) from None
    except NameTaken:
        raise CommandError("another key has this name: see `poe2gpt keys list`") from None
    return 0


def _unknown(reference: str) -> str:
    if reference.startswith(stored_keys.BEGINNING):
        return "a key is named by its name or its id, not by its secret: see `poe2gpt keys list`"
    return f"there is no key {reference!r}: see `poe2gpt keys list`"


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse what follows `keys`. Raises ConfigError."""
    verbs = Verbs(
        "poe2gpt keys",
        description="Make, change and remove access tokens while the service runs.",
        epilog=_EPILOG,
    )
    add = verbs.add("add", "make a key, and show its secret", "name", "its name")
    _add_terms(add)
    verbs.add("list", "list all keys")
    verbs.add("show", "show a key, and what is spent of its budgets", "key", _KEY)
    change = verbs.add(
        "set", f"change a key; `{NONE}` resets a setting to its default", "key", _KEY
    )
    change.add_argument("--name", help="its new name", metavar="NAME")
    _add_terms(change)
    rotate = verbs.add("rotate", "give a key a new secret, and show it", "key", _KEY)
    rotate.add_argument(
        "--grace",
        default=GRACE,
        type=_span,
        metavar="SPAN",
        help=f"how long the present secret stays valid: 90m, 12h, 7d or 0 ({GRACE})",
    )
    verbs.add("disable", "refuse a key until it is enabled again", "key", _KEY)
    verbs.add("enable", "accept a key again", "key", _KEY)
    verbs.add("remove", "delete a key for good", "key", _KEY)
    return verbs.parsed(arguments)


def add_terms(parser: argparse.ArgumentParser, terms: Terms) -> None:
    """Add a flag for each of these settings, which takes `none`, too."""
    for name, (read, metavar, help_) in terms.items():
        parser.add_argument(
            flag_of(name), dest=name, type=_or_none(read), metavar=metavar, help=help_,
            default=argparse.SUPPRESS,
        )  # fmt: skip


def _add_terms(parser: argparse.ArgumentParser) -> None:
    add_terms(parser, _TERMS)
    parser.add_argument(
        "--label",
        dest="labels",
        action="append",
        metavar="NAME=TEXT",
        help="a note; may be repeated. Replaces all earlier labels",
        default=argparse.SUPPRESS,
    )


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def value(text: str) -> Any:
        try:
            return None if text == NONE and read is not str else read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return value


def _span(text: str) -> float:
    try:
        return stored_keys.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def flag_of(name: str) -> str:
    """Return the flag of a setting: `--max-concurrent` of `maxConcurrent`."""
    return "--" + "".join(f"-{each.lower()}" if each.isupper() else each for each in name)


def given(asked: argparse.Namespace) -> Given:
    """Return the settings that were given. Raises ConfigError for a label that is none."""
    values = {name: value for name, value in vars(asked).items() if name in stored_keys.SETTABLE}
    # `--name` is always there for argparse.
    values = {name: value for name, value in values.items() if (name, value) != ("name", None)}
    if values.get("expires") == NONE:
        values["expires"] = None
    if "labels" in values:
        values["labels"] = _labels(values["labels"])
    return Given(values, {name: flag_of(name) for name in stored_keys.SETTABLE})


def _labels(pairs: list[str]) -> dict[str, str] | None:
    if pairs == [NONE]:
        return None
    for pair in pairs:
        if "=" not in pair:
            raise ConfigError(f"`--label` = {pair!r}: expected NAME=TEXT, or {NONE} alone")
    return dict(pair.split("=", 1) for pair in pairs)


async def _add(store: StoredKeys, asked: argparse.Namespace) -> None:
    key, secret = await store.add(given(asked))
    _print_secret(key, secret, asked.json)


async def _rotate(store: StoredKeys, asked: argparse.Namespace) -> None:
    key, secret = await store.rotate(asked.key, asked.grace)
    _print_secret(key, secret, asked.json)


async def _list(store: StoredKeys, asked: argparse.Namespace) -> None:
    found = [key async for key in store.list()]
    if asked.json:
        print(msgspec.json.encode([_described(key) for key in found]).decode())
        return
    print(table([("NAME", "ID", "GROUP", "STATE", "EXPIRES"), *map(_row, found)]))


def _row(key: StoredKey) -> tuple[str, ...]:
    state = stored_keys.state(key, datetime.datetime.now(datetime.UTC))
    expires = f"{key.expires:%Y-%m-%d %H:%M}" if key.expires else ""
    return key.name, key.id, key.group, state, expires


async def _show(store: StoredKeys, asked: argparse.Namespace) -> None:
    key = await store.show(asked.key)
    spent = [each.described(key.time_zone) for each in await store.standings(key)]
    if asked.json:
        print(msgspec.json.encode({**_described(key), "budgets": spent}).decode())
        return
    _print(key, as_json=False)
    if spent:
        print(standings_table(spent))


async def _set(store: StoredKeys, asked: argparse.Namespace) -> None:
    settings = given(asked)
    if not settings.values:
        raise ConfigError("nothing to set is given (see poe2gpt keys set --help)")
    _print(await store.change(asked.key, settings), asked.json)


async def _disable(store: StoredKeys, asked: argparse.Namespace) -> None:
    _print(await store.set_disabled(asked.key, True), asked.json)


async def _enable(store: StoredKeys, asked: argparse.Namespace) -> None:
    _print(await store.set_disabled(asked.key, False), asked.json)


async def _remove(store: StoredKeys, asked: argparse.Namespace) -> None:
    key = await store.remove(asked.key)
    if asked.json:
        _print(key, as_json=True)
    else:
        say(f"the key {key.name} ({key.id}) is removed")


_VERBS: dict[str, Callable[[StoredKeys, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "add": _add,
    "list": _list,
    "show": _show,
    "set": _set,
    "rotate": _rotate,
    "disable": _disable,
    "enable": _enable,
    "remove": _remove,
}


def _print_secret(key: StoredKey, secret: str, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode({**_described(key), "secret": secret}).decode())
        return
    say(f"the secret of {key.name} ({key.id}), which is not shown again:")
    print(secret)


def _print(key: StoredKey, as_json: bool) -> None:
    values = _described(key)
    if as_json:
        print(msgspec.json.encode(values).decode())
        return
    print(table([(name, _shown(value)) for name, value in values.items() if value]))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={text}" for name, text in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _described(key: StoredKey) -> dict[str, Any]:
    return stored_keys.described(key, datetime.datetime.now(datetime.UTC))
