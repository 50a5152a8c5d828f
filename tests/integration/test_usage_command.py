"""`poe2gpt usage`, over a ledger of which every record is known."""

from __future__ import annotations

import csv
import io
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from redis import Redis

from contract.calls.ledger import PAGE
from contract.config import ConfigError
from contract.ledger import Correction, Request
from poe2gpt.command import run
from poe2gpt.usage import usage
from tests.support.deployment import RedisServer, running_redis

NOON = 1_795_780_800_000
"""2026-11-27 12:00 UTC, in ms."""
DAY = 86_400_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Any:
    with Redis.from_url(server.url) as redis:
        redis.flushall()
        yield redis


def write(redis: Any, *records: Request | Correction, prefix: str = "p2g:") -> None:
    """Write records as if each request had ended when it was asked."""
    with redis.pipeline(transaction=False) as pipe:
        for record in records:
            at = record.asked if isinstance(record, Request) else record.at
            pipe.xadd(f"{prefix}ledger", {"r": msgspec.msgpack.encode(record)}, id=f"{at}-*")
        pipe.execute()


def asked(name: str = "ann", at: int = NOON, **fields: Any) -> Request:
    known = {"job": "j", "client": f"id-{name}", "name": name, "model": "Echo", "asked": at}
    return Request(**{**known, **fields})


class Command:
    """Runs `poe2gpt usage`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    def __call__(self, *line: str, status: int = 0) -> str:
        assert run(["usage", *line]) == status
        out, self.said = self._capsys.readouterr()
        return out

    def json(self, *line: str) -> Any:
        return json.loads(self(*line, "--json"))


@pytest.fixture
def command(
    server: RedisServer,
    redis: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    monkeypatch.setenv("REDIS_URL", server.url)
    return Command(capsys)


@pytest.fixture
def filled(redis: Any) -> None:
    write(
        redis,
        asked(at=NOON - DAY, settled=100, estimated=150, prompt_tokens=1_000, group="lab"),
        asked(settled=50, estimated=60, completion_tokens=20, wait=1_000, duration=4_000),
        asked("ben", model="Think", outcome="no_points", account="team-1a"),
        Correction(job="j", client="id-ann", name="ann", model="Echo", points=-10, at=NOON),
        asked("ben", at=NOON + 1, model="Think", outcome="cancelled", settled=5, account="team-1a"),
    )


def test_a_table_has_a_row_for_each_key_and_a_total(command: Command, filled: None) -> None:
    assert command() == (
        "KEY    REQUESTS  FAILED  CANCELLED  PROMPT  OUTPUT  ESTIMATED  SETTLED  CORRECTED  POINTS"
        "  WAIT  (P95)  TIME  (P95)\n"
        "ann           2       0          0   1,000      20        210      150        -10     140"
        "   0.5    1.0   2.0    3.9\n"
        "ben           2       1          1       0       0          0        5          0       5"
        "   0.0    0.0   0.0    0.0\n"
        "total         4       1          1   1,000      20        210      155        -10     145"
        "   0.2    1.0   1.0    3.9\n"
    )


def test_csv_has_the_numbers_as_they_are(command: Command, filled: None) -> None:
    rows = list(csv.DictReader(io.StringIO(command("--by", "day,key", "--csv"))))

    told = [(row["day"], row["key"], row["keyId"], row["points"]) for row in rows]
    assert told == [
        ("2026-11-26", "ann", "id-ann", "100"),
        ("2026-11-27", "ann", "id-ann", "40"),
        ("2026-11-27", "ben", "id-ben", "5"),
    ]
    assert rows[0]["promptTokens"] == "1000"


def test_json_has_the_rows_the_total_and_what_was_asked_for(command: Command, filled: None) -> None:
    found = command.json("--by", "model", "--by", "account", "--since", "2026-11")

    assert [(row["model"], row["account"], row["requests"]) for row in found["rows"]] == [
        ("Echo", "", 2),
        ("Think", "team-1a", 2),
    ]
    assert found["total"]["points"] == 145
    assert found["by"] == ["model", "account"]
    assert (found["since"], found["until"]) == ("2026-11-01T00:00:00Z", None)


@pytest.mark.parametrize(
    ("line", "requests"),
    [
        ("", 4),
        ("--since 2026-11-27", 3),
        ("--until 2026-11-26", 1),
        ("--since 2026-11-26 --until 2026-11-26", 1),
        ("--since 2026-12", 0),
        ("--until 0001-01-01", 0),
        ("--since 0001-01-01 --until 9999-12-30", 4),
        ("--since 2026-11-27T12:00:00.001Z", 1),
        ("--since 2026-11-27 --time-zone Pacific/Kiritimati", 4),
        ("--since 2026-11-28 --time-zone Pacific/Kiritimati", 3),
        ("--key ann", 2),
        ("--key id-ann --key ben", 4),
        ("--group lab", 1),
        ("--model think", 2),
        ("--model Echo --key ben", 0),
    ],
)
def test_what_counts_can_be_chosen(
    command: Command, filled: None, line: str, requests: int
) -> None:
    assert command.json(*line.split())["total"]["requests"] == requests


def test_a_request_that_ended_much_later_than_it_was_asked_counts_where_it_was_asked(
    command: Command, redis: Any
) -> None:
    late = msgspec.msgpack.encode(asked(at=NOON))
    redis.xadd("p2g:ledger", {"r": late}, id=f"{NOON + 2 * DAY}-0")

    assert command.json("--until", "2026-11-27")["total"]["requests"] == 1


def test_a_ledger_of_many_pages_is_counted_once_and_whole(command: Command, redis: Any) -> None:
    write(redis, *(asked(settled=1) for _ in range(2 * PAGE)), asked("ben", settled=1))

    assert command.json()["total"]["points"] == 2 * PAGE + 1


@pytest.mark.parametrize("prefix", ["p2g:", "other:"])
def test_an_empty_ledger_is_told(command: Command, redis: Any, prefix: str) -> None:
    write(redis, *([] if prefix == "p2g:" else [asked()]), prefix=prefix)

    assert command() == ""
    assert "the ledger has no request" in command.said
    assert command.json()["rows"] == []
    assert len(command("--csv").splitlines()) == 1


def test_two_keys_of_one_name_are_told_apart(command: Command, redis: Any) -> None:
    write(redis, asked(client="1", settled=2), asked(client="2"))

    assert [line.split("  ")[0] for line in command().splitlines()] == [
        "KEY",
        "ann (1)",
        "ann (2)",
        "total",
    ]


def test_what_poe_charged_for_nothing_of_ours_is_apart(command: Command, redis: Any) -> None:
    write(redis, asked(settled=1), Correction(job="", points=7, account="team-1a", at=NOON))

    lines = command().splitlines()

    assert lines[0].split()[-5:-4] == ["UNMATCHED"]
    assert command.json()["total"]["points"] == 1
    assert command.json()["total"]["unmatched"] == 7


def test_a_model_that_a_client_has_made_up_harms_no_terminal_and_no_spreadsheet(
    command: Command, redis: Any
) -> None:
    write(redis, asked(model="\x1b[2J\nx", settled=2), asked(model="=cmd()", settled=1))

    assert [line.split()[0] for line in command("--by", "model").splitlines()[1:3]] == [
        r"\x1b[2J\nx",
        "=cmd()",
    ]
    assert "\n'=cmd()," in command("--by", "model", "--csv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--by keys", "`--by` = 'keys': expected day, key, group, model or account; did you mean"),
        ("--by ,", "`--by` = '': expected day, key"),
        ("--since yesterday", "`--since` = 'yesterday': expected a day (2026-11-27), a month"),
        ("--until 2026-02-30", "`--until` = '2026-02-30': expected a day"),
        ("--since 2026-11-28 --until 2026-11-27", "`--since` is not before `--until`"),
        ("--time-zone Mars", "'Mars': expected a time zone such as Europe/Berlin"),
        ("--csv --json", "not allowed with"),
        ("ann", "too many arguments"),
        ("--by", "expected one argument"),
    ],
)
def test_a_wrong_line_is_refused_before_anything_is_read(line: str, message: str) -> None:
    settings: Any = None  # not looked at

    with pytest.raises(ConfigError) as told:
        usage(settings, line.split())

    assert message in str(told.value)


def test_records_of_a_later_version_are_told(command: Command, redis: Any) -> None:
    redis.xadd("p2g:ledger", {"r": msgspec.msgpack.encode(["another kind"])})

    assert command(status=1) == ""
    assert "a later version of poe2gpt" in command.said


def test_a_redis_that_is_not_there_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:p4ssword@127.0.0.1:1")

    assert run(["usage"]) == 1

    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "p4ssword" not in said


def started(url: str, *line: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "poe2gpt", "--redis-url", url, "usage", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_reader_that_has_gone_is_no_error(server: RedisServer, redis: Any) -> None:
    write(redis, *(asked(model=f"{number} " + 1_000 * "m") for number in range(200)))

    with started(server.url, "--by", "model", "--csv") as process:
        assert process.stdout
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr
        said = process.stderr.read()

    assert (process.returncode, said) == (141, b"")


def test_ctrl_c_ends_it_in_silence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as frozen,
        started(f"redis://127.0.0.1:{frozen.getsockname()[1]}") as process,
    ):
        connection, _ = frozen.accept()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        connection.close()

    assert (abs(process.returncode) in (signal.SIGINT, 130), said) == (True, b"")
