"""The databases that `poe2gpt export` writes to."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

from poe2gpt.export_tables import GET_POSITION, SCHEMA, inserts, set_position
from poe2gpt.terminal import CommandError
from store.ledger import BEGINNING, Page

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another program that writes to a SQLite file."""

CONNECT_TIMEOUT = 10
"""Seconds that PostgreSQL has to let us in."""


SILENCE = 60
"""Seconds after which a server that acknowledges nothing counts as gone."""


class Unavailable(Exception):
    """The database cannot be reached now. The message says why, without a password."""


class Database(Protocol):
    """A database. Each call is one transaction, and may wait. Raises Unavailable, CommandError."""

    def open(self) -> str:
        """Make the tables that are not there; return the id of the last record, or `BEGINNING`."""

    def write(self, page: Page) -> None:
        """Add these records, unless they are there, and note the id of the last one."""

    def close(self) -> None:
        """Close the connection."""


class _Connected(ABC):
    """A database with one connection, whose every call goes through `_doing`."""

    def __init__(self) -> None:
        self._connection: Any = None

    def open(self) -> str:
        return str(self._doing(self._open))

    def write(self, page: Page) -> None:
        self._doing(lambda: self._write(page))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @abstractmethod
    def _open(self) -> str: ...

    @abstractmethod
    def _write(self, page: Page) -> None: ...

    @abstractmethod
    def _doing(self, work: Callable[[], Any]) -> Any:
        """Return what `work` returns. Raises Unavailable or CommandError for its faults."""


class SQLite(_Connected):
    """A file. Other programs may read it meanwhile."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def _open(self) -> str:
        # Its calls are made one after another, if not in one thread.
        self._connection = sqlite3.connect(
            self._path, timeout=LOCK_TIMEOUT, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        with self._connection:
            for statement in SCHEMA:
                self._connection.execute(statement)
        found = self._connection.execute(GET_POSITION).fetchone()
        return str(found[0]) if found else BEGINNING

    def _write(self, page: Page) -> None:
        with self._connection:
            for statement, rows in inserts(page, "?"):
                self._connection.executemany(statement, rows)
            self._connection.execute(set_position("?"), (page[-1][0],))

    def _doing(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except sqlite3.Error as error:
            raise CommandError(f"SQLite, {self._path}: {error}") from None


class PostgreSQL(_Connected):
    """A database of a PostgreSQL server. Needs psycopg."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg  # noqa: PLC0415
        except ImportError:
            raise CommandError(
                "--postgres needs psycopg: pip install 'psycopg[binary]>=3.2'"
            ) from None
        super().__init__()
        self._psycopg = psycopg
        self._url = url

    def _open(self) -> str:
        self.close()
        self._connection = self._psycopg.connect(
            self._url,
            connect_timeout=CONNECT_TIMEOUT,
            tcp_user_timeout=SILENCE * 1000,
            application_name="poe2gpt export",
        )
        with self._connection.transaction(), closing(self._connection.cursor()) as cursor:
            for statement in SCHEMA:
                cursor.execute(statement)
            found = cursor.execute(GET_POSITION).fetchone()
        return found[0] if found else BEGINNING

    def _write(self, page: Page) -> None:
        with self._connection.transaction(), closing(self._connection.cursor()) as cursor:
            for statement, rows in inserts(page, "%s"):
                cursor.executemany(statement, rows)
            cursor.execute(set_position("%s"), (page[-1][0],))

    def _doing(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except self._psycopg.OperationalError as error:
            raise Unavailable(f"PostgreSQL: {_line(error)}") from None
        except self._psycopg.Error as error:
            raise CommandError(f"PostgreSQL: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
