"""`poe2gpt export`: into SQLite, and into a real PostgreSQL where one is installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from redis import Redis

from contract.calls.ledger import PAGE
from contract.config import ConfigError
from contract.ledger import Correction, LedgerRecord, Request
from poe2gpt.command import run
from poe2gpt.export import export
from tests.support.deployment import Child, RedisServer, eventually, free_port, running_redis, spawn

Query = Callable[[str], list[Any]]
"""Returns the rows that a statement finds in the database."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("REDIS_URL", server.url)
    with Redis.from_url(server.url) as redis:
        redis.flushall()
        yield redis


def write(redis: Any, *records: LedgerRecord) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for record in records:
            pipe.xadd("p2g:ledger", {"r": msgspec.msgpack.encode(record)})
        pipe.execute()


def asked(job: str = "j", **fields: Any) -> Request:
    return Request(**{"job": job, "client": "1", "name": "ann", "model": "Echo", **fields})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def once(file: Path) -> int:
    return run(["export", "--sqlite", str(file), "--once"])


def found(file: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def jobs(file: Path) -> list[str]:
    return [job for (job,) in found(file, "SELECT job FROM requests ORDER BY job")]


async def start(url: str, *line: str, log: Path) -> Child:
    return await spawn(
        log, sys.executable, "-m", "poe2gpt", "export", *line, env={"REDIS_URL": url}
    )


def test_every_field_of_every_record_is_there(redis: Any, file: Path) -> None:
    request = asked(
        *("j",), group="lab", account="team-1a", outcome="no_points", asked=1, wait=2, duration=3,
        prompt_tokens=4, completion_tokens=5, cached_tokens=6, estimated=7, settled=8,
        basis="estimate", calls=9, budgets=("key:1:day", "group:lab:day"), bot="Bot", sent=10,
    )  # fmt: skip
    correction = Correction(
        *(), job="j", client="1", name="ann", group="lab", model="Echo", account="team-1a",
        points=-3, reason="shared", query="q", at=11,
    )  # fmt: skip
    write(redis, request, correction)

    assert once(file) == 0

    ids = [id_.decode() for id_, _ in redis.xrange("p2g:ledger")]
    budgets = json.dumps(request.budgets)
    assert found(file, "SELECT * FROM requests") == [
        (
            *(ids[0], "j", "1", "ann", "lab", "Echo", "team-1a", "no_points", 1, 2, 3, 4, 5, 6),
            *(7, 8, "estimate", 9, budgets, "Bot", 10),
        )
    ]
    assert found(file, "SELECT * FROM corrections") == [
        (ids[1], "j", "1", "ann", "lab", "Echo", "team-1a", -3, "shared", "q", 11)
    ]
    assert len(msgspec.structs.fields(Request)) == 20
    assert len(msgspec.structs.fields(Correction)) == 10


def test_it_goes_on_where_it_was_and_adds_nothing_twice(redis: Any, file: Path) -> None:
    write(redis, asked("a"), asked("b"))
    once(file)
    write(redis, asked("c"))
    once(file)
    once(file)

    assert jobs(file) == ["a", "b", "c"]


def test_what_another_redis_had_written_a_little_earlier_is_found_as_well(
    redis: Any, file: Path
) -> None:
    write(redis, asked("b"))
    once(file)
    ((last, _),) = redis.xrange("p2g:ledger")
    earlier = int(last.partition(b"-")[0]) - 1000
    redis.delete("p2g:ledger")
    redis.xadd("p2g:ledger", {"r": msgspec.msgpack.encode(asked("a"))}, id=f"{earlier}-0")

    once(file)

    assert jobs(file) == ["a", "b"]


def test_a_ledger_of_many_pages_is_copied_whole(redis: Any, file: Path) -> None:
    write(redis, *(asked(str(number)) for number in range(2 * PAGE)))

    once(file)

    assert found(file, "SELECT count(*) FROM requests") == [(2 * PAGE,)]


def test_what_was_trimmed_before_it_was_copied_is_told(
    redis: Any, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(redis, asked("a"))
    once(file)
    assert "may be lost" not in capsys.readouterr().err
    redis.delete("p2g:ledger")
    write(redis, asked("c"))

    once(file)

    assert "may be lost" in capsys.readouterr().err
    assert jobs(file) == ["a", "c"]


def test_what_no_database_can_hold_stops_nothing(redis: Any, file: Path) -> None:
    write(redis, asked(model="a\0b\n'); DROP TABLE requests", prompt_tokens=2**64 - 1))

    assert once(file) == 0

    assert found(file, "SELECT model, prompt_tokens FROM requests") == [
        ("a\ufffdb\n'); DROP TABLE requests", 2**63 - 1)
    ]


def test_a_file_that_cannot_be_written_is_told(
    redis: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.write_text("no database" * 1000)

    assert once(tmp_path / "missing" / "ledger.db") == once(other) == 1

    said = capsys.readouterr().err
    assert "unable to open database file" in said
    assert "file is not a database" in said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "one of the arguments --sqlite --postgres is required"),
        ("--sqlite a --postgres b", "not allowed with"),
        ("--sqlite=", "`--sqlite`: expected the name of a file"),
        ("--postgres=", "`--postgres`: is empty"),
        ("--postgres postgresql://u:secret@h/d", "every user of this machine can see"),
        ("--postgres postgresql://u@h/d?password=secret", "every user of this machine can see"),
        ("--postgres mysql://u@h/d", "expected postgresql://"),
        ("--postgres env:NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE"),
    ],
)
def test_a_wrong_line_is_refused(line: str, message: str) -> None:
    settings: Any = None  # not looked at

    with pytest.raises(ConfigError) as told:
        export(settings, line.split())

    assert message in str(told.value)
    assert "secret" not in str(told.value)


async def test_it_follows_the_ledger_through_a_restart_of_redis_and_its_own_death(
    tmp_path: Path,
) -> None:
    file, log = tmp_path / "ledger.db", tmp_path / "log"
    async with running_redis() as server:
        exporter = await start(server.url, "--sqlite", str(file), log=log)

        async def copied(job: str) -> None:
            with Redis.from_url(server.url) as redis:
                write(redis, asked(job))
            await eventually(lambda: file.exists() and job in jobs_or_none(file), job)

        await copied("a")
        assert server.child
        await server.child.stop()
        await eventually(lambda: "Redis cannot be reached" in exporter.output(), "the outage")
        await server.start()
        await copied("b")
        await exporter.stop(signal.SIGKILL)
        exporter = await start(server.url, "--sqlite", str(file), log=log)
        await copied("c")
        status = await exporter.stop(signal.SIGINT)

    assert jobs(file) == ["a", "b", "c"]
    assert abs(status) in (signal.SIGINT, 130)
    assert "Traceback" not in log.read_text()


def jobs_or_none(file: Path) -> list[str]:
    try:
        return jobs(file)
    except sqlite3.OperationalError:  # its tables are still to be made
        return []


class Postgres:
    """A real server in a directory of its own, which may be stopped and started."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._directory = directory
        self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        if os.getuid():
            self._user = []
        else:
            shutil.chown(directory, "postgres")
        self.child: Child | None = None

    def make(self) -> None:
        subprocess.run(
            [
                *(*self._user, "initdb", "--pgdata", self._directory / "data", "--no-sync"),
                *("--username=postgres", "--auth=trust", "--no-instructions"),
            ],
            check=True,
            capture_output=True,
        )

    async def start(self) -> None:
        self.child = await spawn(
            self._directory / "log",
            *(*self._user, "postgres", "-D", str(self._directory / "data"), "-F"),
            *("-c", "listen_addresses=127.0.0.1", "-p", str(self.port)),
            *("-c", "unix_socket_directories="),
        )
        await eventually(lambda: self.query("SELECT 1"), "PostgreSQL")

    def query(self, statement: str) -> list[Any]:
        """Return what is found; nothing while the server, or the table, is not there."""
        import psycopg

        try:
            with psycopg.connect(self.url) as connection:
                return connection.execute(statement.encode()).fetchall()
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
            return []


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="PostgreSQL: psycopg is not installed")
    if not shutil.which("initdb") or not shutil.which("postgres"):
        pytest.skip("PostgreSQL is not installed")
    # Not in pytest's directory, which the server's user cannot enter.
    with tempfile.TemporaryDirectory(prefix="poe2gpt-", ignore_cleanup_errors=True) as directory:
        server = Postgres(Path(directory))
        yield server
        if server.child and server.child.process.returncode is None:
            server.child.process.kill()


async def test_postgresql_is_followed_too_and_may_restart(
    postgres: Postgres, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    postgres.make()
    await postgres.start()
    (tmp_path / "url").write_text(postgres.url)
    async with running_redis() as server:
        exporter = await start(server.url, "--postgres", f"file:{tmp_path}/url", log=log)

        async def copied(job: str, **fields: Any) -> None:
            with Redis.from_url(server.url) as redis:
                write(redis, asked(job, **fields))
            rows = f"SELECT job FROM requests WHERE job = '{job}'"
            await eventually(lambda: postgres.query(rows) == [(job,)], job)

        await copied("a", model="a\0b", prompt_tokens=2**64 - 1)
        with Redis.from_url(server.url) as redis:
            write(redis, Correction(job="a", points=-2))
        assert postgres.child
        await postgres.child.stop(signal.SIGINT)
        with Redis.from_url(server.url) as redis:
            write(redis, asked("during"))
        await eventually(lambda: "PostgreSQL: " in exporter.output(), "the outage")
        await postgres.start()
        await copied("b")
        await exporter.stop(signal.SIGKILL)
        exporter = await start(server.url, "--postgres", f"file:{tmp_path}/url", log=log)
        await copied("c")
        await exporter.stop()

    told = postgres.query("SELECT job, model, prompt_tokens FROM requests ORDER BY job LIMIT 2")
    assert told == [("a", "a\ufffdb", 2**63 - 1), ("b", "Echo", 0)]
    assert postgres.query("SELECT count(*) FROM requests") == [(4,)]
    assert postgres.query("SELECT points FROM corrections") == [(-2,)]
    assert "Traceback" not in log.read_text()
    await postgres.child.stop(signal.SIGINT)
