"""The command `poe2gpt export`: keeps a copy of the ledger in a database, for SQL."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from contract import config
from contract.calls.ledger import ReadLedger
from contract.config import ConfigError, Settings
from poe2gpt.export_databases import Database, PostgreSQL, SQLite, Unavailable
from poe2gpt.flags import parser_of
from poe2gpt.redis import on_redis
from poe2gpt.terminal import CommandError, say
from store.faults import RedisFault, is_transient
from store.ledger import BEGINNING, before, instant, pages
from store.link import Link

NO_TIME = "0"

PAUSE = 1.0
"""Seconds between two looks at the ledger."""

LONGEST_PAUSE = 30.0
"""Seconds between two tries while Redis or the database cannot be reached."""

OVERLAP = 60_000
"""Milliseconds of the ledger that are read again at each start, and after each fault: a Redis that
takes over from another may have records that are a little older than the last one we saw."""

_EPILOG = """\
It runs until it is stopped. Started again, it continues after the last record in the database.
Whatever happens, each record is there once. docs/operations.md describes the tables.

examples:
  poe2gpt export --sqlite /var/lib/poe2gpt/ledger.db
  poe2gpt export --sqlite ledger.db --once
  poe2gpt export --postgres postgresql://poe2gpt@db/poe2gpt     # its password is in ~/.pgpass
  poe2gpt export --postgres file:/run/secrets/postgres_url
"""


def export(settings: Settings, arguments: Sequence[str]) -> int:
    """Run `poe2gpt export` with these arguments, and return the exit status.

    Raises ConfigError and CommandError.
    """
    asked = parsed(arguments)
    database: Database
    if asked.postgres is not None:
        database = PostgreSQL(postgres_url(asked.postgres))
    elif asked.sqlite:
        database = SQLite(asked.sqlite)
    else:
        raise ConfigError("`--sqlite`: expected the name of a file")

    async def run(link: Link) -> None:
        try:
            if asked.once:
                say(f"{await Exporter(link, database).catch_up()} records were read")
            else:
                await Exporter(link, database).follow()
        except Unavailable as error:
            raise CommandError(str(error)) from None
        finally:
            database.close()

    on_redis(settings, run)
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse what follows `export`. Raises ConfigError."""
    parser = parser_of(
        "poe2gpt export",
        description="Keep a copy of the ledger in a database.",
        epilog=_EPILOG,
    )
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument(
        "--sqlite", metavar="FILE", help="a file, which is created if it does not exist"
    )
    to.add_argument(
        "--postgres",
        metavar="URL",
        help="postgresql://user@host/database; with a password, env:NAME or file:/path instead",
    )
    parser.add_argument(
        "--once", action="store_true", help="copy what the ledger holds now, and stop"
    )
    return parser.parse_args(arguments)


def postgres_url(reference: str) -> str:
    """Return the URL that is meant. Raises ConfigError, also for one that shows its password."""
    url = config.secrets(reference, "`--postgres`")[0]
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError("`--postgres`: expected postgresql://user@host/database")
    if url == reference and (urlsplit(url).password or "password=" in url):
        raise ConfigError(
            "every user of this machine can see a command line: give a URL with a password as"
            " env:NAME or file:/path"
        )
    return url


class Exporter:
    """Copies the ledger to a database, from its last record on."""

    def __init__(self, link: Link, database: Database) -> None:
        self._link = link
        self._database = database
        self._after: str | None = None
        """The id of the last record that was copied. None: the database has to be asked."""

    async def follow(self) -> None:
        """Copy what is there and all that comes. Raises CommandError."""
        pauses = _pauses()
        while True:
            try:
                await self.catch_up()
                pauses = _pauses()
                await asyncio.sleep(PAUSE)
            except (*RedisFault, Unavailable) as fault:
                if isinstance(fault, RedisFault) and not is_transient(fault):
                    raise
                self._after = None
                pause = next(pauses)
                say(f"{_described(fault)}; trying again in {pause:.0f} s")
                await asyncio.sleep(pause)

    async def catch_up(self) -> int:
        """Copy all that is there, and return how many records were read."""
        count = 0
        if self._after is None:
            self._after = await self._resume()
        async for page in pages(lambda call: self._link.run(call, NO_TIME), after=self._after):
            await asyncio.to_thread(self._database.write, page)
            self._after = page[-1][0]
            count += len(page)
        return count

    async def _resume(self) -> str:
        last = await asyncio.to_thread(self._database.open)
        if last == BEGINNING:
            return BEGINNING
        first = await self._link.run(ReadLedger(BEGINNING, 1), NO_TIME)
        if first and instant(first[0][0]) > instant(last):
            say(
                "warning: the ledger begins after the last record that was copied: some may be lost"
            )
        return before(instant(last) - OVERLAP)


def _described(fault: BaseException) -> str:
    if isinstance(fault, Unavailable):
        return str(fault)
    # What it says may have the URL in it.
    return f"Redis cannot be reached ({type(fault).__name__})"


def _pauses() -> Iterator[float]:
    pause = 1.0
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
