"""The command `poe2gpt tokens`: Poe tokens that are added, parked and removed at run time."""

from __future__ import annotations

import argparse
import datetime
import getpass
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from contract import config, stored_keys
from contract.calls.stored_tokens import AddToken, HoldToken, ReadTokens, RemoveToken
from contract.calls.tokens import TokenState, TokenStates
from contract.config import ConfigError, Given, Settings
from contract.stored_tokens import HELD, StoredToken
from contract.texts import PLAIN, is_plain
from poe2gpt.flags import number
from poe2gpt.known_tokens import NO_TIME, read_elsewhere
from poe2gpt.redis import on_redis
from poe2gpt.terminal import CommandError, say, table
from poe2gpt.verbs import Verbs
from store.link import Link
from worker.config import Entry, WorkerConfig, token_of, worker_config
from worker.sealing import seal

_NONE = (
    "there is no Poe token: no worker runs that has one, none was added, and none is in this"
    " configuration (-t, --config)"
)

_OPERAND = "its label or its id"

_NO_KEY = (
    "Poe tokens are kept in Redis under a key of the workers: make one with `openssl rand -hex 32`,"
    " and set it as tokenKey (TOKEN_KEY) for all workers and for this command"
)

_EPILOG = """\
A token is named by its label or its id, as `list` shows them. Its SOURCE says whether it was
`added`, is in the `configuration` of this command (-t, as for serve, or --config), or only in that
of `workers`; it is `unowned` if none of them has it now, and forgotten a day later. Any can be
parked; to remove one of a configuration, edit the configuration. Workers apply a change within
seconds.

examples:
  poe2gpt tokens add file:/run/secrets/new_token --account team --rate-limit 200
  poe2gpt tokens add < new_token
  poe2gpt tokens park team-1a2b3c --for 12h
"""


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """What is told of one token."""

    label: str
    id: str
    source: str
    """`configuration`, `added`, or `workers` for what only the workers' configuration has."""
    state: str
    """`ok`, `parked`, what workers have set it aside for, or for one of `workers` `unowned`."""
    seconds: float = 0.0
    """For how long it is still set aside; 0 if it is not."""


class Tokens:
    """All tokens that a command knows of: those of its configuration, those in Redis, and those
    that workers have."""

    def __init__(self, link: Link, worker: WorkerConfig) -> None:
        self.worker = worker
        self._link = link

    async def add(self, secret: str, asked: argparse.Namespace) -> Row:
        entry = Entry("", asked.account, asked.rate_limit, asked.cool_down, asked.max_in_flight)
        token = token_of(secret, entry, self.worker)
        if token.id in {each.id for each in self.worker.tokens}:
            raise CommandError(f"{token.label} is listed in the configuration already")
        stored = StoredToken(
            token.label,
            seal(secret, self.worker.token_key),
            datetime.datetime.now(datetime.UTC).replace(microsecond=0),
            account=entry.account,
            rate_limit=entry.rate_limit,
            cool_down=entry.cool_down,
            max_in_flight=entry.max_in_flight,
        )
        await self._link.run(AddToken(token.id, stored), NO_TIME)
        return await self.find(token.id)

    async def hold(self, row: Row, seconds: float | None) -> None:
        await self._link.run(HoldToken(row.id, seconds), NO_TIME)

    async def release(self, row: Row) -> None:
        await self._link.run(HoldToken(row.id, release=True), NO_TIME)

    async def remove(self, row: Row) -> bool:
        return await self._link.run(RemoveToken(row.id), NO_TIME)

    async def rows(self) -> list[Row]:
        """Return all tokens, with what the workers have learned of them."""
        names = {token.id: (token.label, "configuration") for token in self.worker.tokens}
        stored = (await self._link.run(ReadTokens(), NO_TIME)).tokens or {}
        for id_, token in stored.items():
            names.setdefault(id_, (token.label, "added"))
        elsewhere = await read_elsewhere(self._link, names)
        names |= {id_: (token.label, "workers") for id_, (token, _) in elsewhere.items()}
        unowned = {id_ for id_, (_, use) in elsewhere.items() if not use.worker}
        states = await self._link.run(TokenStates(tuple(names)), NO_TIME)
        return [
            _row(label, id_, source, states.get(id_, TokenState()), id_ in unowned)
            for id_, (label, source) in names.items()
        ]

    async def find(self, reference: str) -> Row:
        """Return the token of this label or id. Raises CommandError."""
        found = [row for row in await self.rows() if reference in (row.id, row.label)]
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandError(f"several tokens are called {reference!r}: name one by its id")
        raise CommandError("there is no such token: see `poe2gpt tokens list`")


def tokens(settings: Settings, arguments: Sequence[str]) -> int:
    """Run `poe2gpt tokens` with these arguments, and return the exit status.

    Raises ConfigError and CommandError.
    """
    asked = parsed(arguments)
    worker, _ = worker_config(settings)
    secret = _new_secret(asked, worker) if asked.verb == "add" else ""

    async def with_link(link: Link) -> None:
        known = Tokens(link, worker)
        if asked.verb == "add":
            _print([await known.add(secret, asked)], asked.json)
        else:
            await _VERBS[asked.verb](known, asked)

    on_redis(settings, with_link)
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse what follows `tokens`. Raises ConfigError."""
    verbs = Verbs(
        "poe2gpt tokens",
        description="Add, park and remove Poe tokens while the service runs.",
        epilog=_EPILOG,
    )
    add = verbs.add("add", "add a token")
    add.add_argument(
        "secret",
        nargs="?",
        default="-",
        metavar="SECRET",
        help="env:NAME or file:/path; without it, the token is read from standard input",
    )
    add.add_argument(
        "--account", help="its Poe account: the tokens of one account share its limits"
    )
    add.add_argument(
        "--rate-limit", type=number, metavar="N", help="the most calls in any 60 seconds"
    )
    add.add_argument(
        "--cool-down",
        type=number,
        metavar="SECONDS",
        help="the least time from one call to the next",
    )
    add.add_argument("--max-in-flight", type=number, metavar="N", help="the most calls at a time")
    verbs.add("list", "list all tokens, those included that only workers know")
    park = verbs.add("park", "stop using a token", "token", _OPERAND)
    park.add_argument(
        "--for",
        dest="seconds",
        type=_span,
        metavar="SPAN",
        help="for how long: 90m, 12h, 7d (until it is unparked)",
    )
    verbs.add("unpark", "use a token again, whatever it was set aside for", "token", _OPERAND)
    verbs.add("remove", "forget a token that was added", "token", _OPERAND)
    return verbs.parsed(arguments)


def _span(text: str) -> float:
    try:
        if seconds := stored_keys.seconds(text):
            return seconds
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("expected a span such as 90m, 12h or 7d")


def _new_secret(asked: argparse.Namespace, worker: WorkerConfig) -> str:
    """Return the secret of the token to add. Raises ConfigError, also for limits that are none."""
    if not worker.token_key:
        raise ConfigError(_NO_KEY)
    _check_limits(asked)
    reference = asked.secret
    if reference == "-":
        ask = partial(getpass.getpass, "Poe token: ") if sys.stdin.isatty() else sys.stdin.readline
        reference = ask()
    elif not reference.startswith(("env:", "file:")):
        raise ConfigError(
            "every user of this machine can see a command line: give the token as env:NAME or"
            " file:/path, or on standard input"
        )
    found = config.secrets(reference.strip(), "the token")
    if len(found) > 1:
        raise ConfigError("the token: expected one, and there are several")
    return found[0]


def _check_limits(asked: argparse.Namespace) -> None:
    names = {
        "account": "--account",
        "rateLimit": "--rate-limit",
        "coolDown": "--cool-down",
        "maxInFlight": "--max-in-flight",
    }
    values = {key: getattr(asked, flag[2:].replace("-", "_")) for key, flag in names.items()}
    kept = {key: value for key, value in values.items() if value is not None}
    Settings(Given({"token": "-", **kept}, {"token": "token", **names})).struct(Entry)
    if not is_plain(asked.account or ""):
        raise ConfigError(f"`--account`: {PLAIN}")


async def _list(known: Tokens, asked: argparse.Namespace) -> None:
    rows = await known.rows()
    if not rows:
        say(_NONE)
    if rows or asked.json:
        _print(rows, asked.json)


async def _park(known: Tokens, asked: argparse.Namespace) -> None:
    row = await known.find(asked.token)
    await known.hold(row, asked.seconds)
    _print([await known.find(row.id)], asked.json)


async def _unpark(known: Tokens, asked: argparse.Namespace) -> None:
    row = await known.find(asked.token)
    await known.release(row)
    _print([await known.find(row.id)], asked.json)


async def _remove(known: Tokens, asked: argparse.Namespace) -> None:
    row = await known.find(asked.token)
    if not await known.remove(row):
        raise CommandError(f"{row.label} is listed in the configuration: remove it there")
    rest = "" if row.source == "added" else " from Redis; the configuration lists it still"
    say(f"the token {row.label} is removed{rest}")


_VERBS: dict[str, Callable[[Tokens, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "list": _list,
    "park": _park,
    "unpark": _unpark,
    "remove": _remove,
}


def _row(label: str, id_: str, source: str, state: TokenState, is_unowned: bool) -> Row:
    if not state.parked:
        return Row(label, id_, source, "unowned" if is_unowned else "ok")
    return Row(label, id_, source, "parked" if state.state == HELD else state.state, state.parked)


def _print(rows: list[Row], as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(rows).decode())
        return
    print(
        table(
            [
                ("TOKEN", "ID", "SOURCE", "STATE"),
                *((row.label, row.id, row.source, row.state) for row in rows),
            ]
        )
    )
