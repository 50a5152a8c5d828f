"""`poe2gpt keys`: every verb in this process, and one line through the whole command."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis import Redis

from contract.config import ConfigError, Given, Settings
from contract.stored_keys import digest_of, may_be_secret
from poe2gpt.command import run
from poe2gpt.keys import keys
from poe2gpt.redis import on_redis
from poe2gpt.terminal import CommandError
from tests.support.deployment import RedisServer, running_redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Any:
    with Redis.from_url(server.url, decode_responses=True) as redis:
        redis.flushall()
        yield redis


class Command:
    """Runs the verbs of `poe2gpt keys`."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._settings = Settings(Given({"redisUrl": url}, {"redisUrl": "--redis-url"}))
        self._capsys = capsys
        self.said = ""
        """What the last one has said beside its output."""

    def __call__(self, *line: str) -> str:
        assert keys(self._settings, line) == 0
        out, self.said = self._capsys.readouterr()
        return out

    def json(self, *line: str) -> Any:
        return json.loads(self(*line, "--json"))


@pytest.fixture
def command(server: RedisServer, redis: Any, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(server.url, capsys)


def test_a_secret_is_printed_alone_and_once(command: Command, redis: Any) -> None:
    out = command("add", "ann")
    secret = out.strip()

    assert out == f"{secret}\n"
    assert may_be_secret(secret)
    assert "not shown again" in command.said
    assert secret not in command.said
    shown = [command("list"), command("show", "ann"), json.dumps(command.json("list"))]
    assert all(secret not in each and digest_of(secret) not in each for each in shown)


def test_a_key_has_the_terms_that_it_was_given(command: Command) -> None:
    terms = (
        "--group=lab --weight=2 --max-concurrent=3 --rate-limit=4 --models=gpt-*,claude"
        " --expires=2099-12-31 --day-budget=5 --week-budget=6 --month-budget=7 --total-budget=8"
        " --time-zone=Europe/Berlin --label=a=b --label=c=d=e"
    )

    made = command.json("add", "ann", *terms.split())

    assert may_be_secret(made.pop("secret"))
    shown = command.json("show", made["id"])
    spent = {each["period"]: (each["limit"], each["spent"]) for each in shown.pop("budgets")}
    assert spent == {"day": (5, 0), "week": (6, 0), "month": (7, 0), "total": (8, 0)}
    assert made == shown
    assert {name: value for name, value in made.items() if name not in ("id", "created")} == {
        "name": "ann",
        "group": "lab",
        "weight": 2.0,
        "maxConcurrent": 3,
        "rateLimit": 4,
        "models": ["gpt-*", "claude"],
        "expires": "2100-01-01T00:00:00Z",
        "dayBudget": 5,
        "weekBudget": 6,
        "monthBudget": 7,
        "totalBudget": 8,
        "timeZone": "Europe/Berlin",
        "labels": {"a": "b", "c": "d=e"},
        "disabled": False,
        "retiring": [],
        "state": "active",
    }


def test_a_change_leaves_the_rest_and_none_gives_the_default(command: Command) -> None:
    made = command.json(
        *("add", "ann", "--rate-limit=4", "--weight=2", "--models=a", "--label=a=b", "--expires=1d")
    )

    command("set", "ann", "--name", "anna", "--rate-limit", "none", "--models", "none")
    changed = command.json("set", "anna", "--label", "none", "--expires", "none")

    assert changed["id"] == made["id"]
    assert [changed[name] for name in ("name", "rateLimit", "models", "labels", "expires")] == [
        "anna",
        None,
        [],
        {},
        None,
    ]
    assert changed["weight"] == 2.0


def test_a_rotated_key_has_another_secret_and_says_until_when_the_old_one_works(
    command: Command,
) -> None:
    old = command("add", "ann").strip()
    new = command.json("rotate", "ann", "--grace", "90m")
    at_once = command("rotate", "ann", "--grace", "0").strip()

    assert len(new["retiring"]) == 1
    assert len({old, new["secret"], at_once}) == 3
    assert command.json("show", "ann")["retiring"] == []


def test_a_key_is_disabled_enabled_listed_and_removed(command: Command, redis: Any) -> None:
    command("add", "ann", "--group", "lab")
    ben = command.json("add", "ben")["id"]
    redis.hset(f"p2g:key:{ben}", "expires", '"2020-01-01T00:00:00Z"')

    disabled = command.json("disable", "ann")["state"]
    table = command("list").splitlines()
    enabled = command.json("enable", "ann")["state"]
    command("remove", "ann")

    assert (disabled, enabled) == ("disabled", "active")
    assert [line.split()[0] for line in table] == ["NAME", "ann", "ben"]
    assert ("lab" in table[1], "disabled" in table[1], "expired" in table[2]) == (True,) * 3
    assert [key["name"] for key in command.json("list")] == ["ben"]
    # What has expired may be given all that it has, with a change.
    changed = command.json("set", "ben", "--expires", "2020-01-01T00:00:00Z", "--weight", "2")
    assert (changed["state"], changed["weight"]) == ("expired", 2)


def test_a_hundred_keys_more_than_a_page_are_all_listed(command: Command, redis: Any) -> None:
    for number in range(1, 601):
        id_ = f"{number:016x}"
        redis.zadd("p2g:key-ids", {id_: number})
        redis.hset(
            f"p2g:key:{id_}", mapping={"name": f'"k{number}"', "created": '"2027-01-01T00:00:00Z"'}
        )

    assert [key["name"] for key in command.json("list")] == [f"k{n}" for n in range(1, 601)]


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        pytest.param("show ben", CommandError, "there is no key 'ben'", id="unknown"),
        pytest.param("remove ben", CommandError, "there is no key 'ben'", id="removed"),
        pytest.param("add ann", CommandError, "another key has this name", id="name taken"),
        pytest.param("set eve --name ann", CommandError, "another key", id="renamed"),
        pytest.param("show sk-p2g-S3CRET", CommandError, "not by its secret", id="a secret"),
        pytest.param("add ann --weight 0", ConfigError, "`--weight` = 0: expected", id="value"),
        pytest.param("add ann --label x", ConfigError, "expected NAME=TEXT", id="label"),
        pytest.param("set ann --weight x", ConfigError, "`--weight` = 'x': expected", id="text"),
        pytest.param("add ben --expires 2020-01-01", ConfigError, "`--expires` =", id="past"),
        pytest.param("set ann --expires 0d", ConfigError, "`--expires` = '0d': has", id="now"),
        pytest.param("set ann", ConfigError, "nothing to set", id="nothing"),
        pytest.param("rotate ann --grace 5", ConfigError, "expected a span", id="grace"),
        pytest.param("shw ann", ConfigError, "(see poe2gpt keys --help)", id="verb"),
        pytest.param("show", ConfigError, "(see poe2gpt keys show --help)", id="no operand"),
    ],
)
def test_a_mistake_is_told(
    command: Command, line: str, error: type[Exception], message: str
) -> None:
    command("add", "ann")
    command("add", "eve")

    with pytest.raises(error) as told:
        command(*line.split())

    assert message in str(told.value)
    assert "S3CRET" not in str(told.value)


def test_the_command_takes_its_redis_before_or_after_and_hides_it(
    server: RedisServer, redis: Any, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('keyPrefix = "blue:"\n')
    lines = (
        ("--redis-url", server.url, "keys", "add", "ann", "--json", "--config", str(file)),
        ("keys", "show", "ann", f"--redis-url={server.url}", f"--config={file}", "--json"),
    )

    told = [
        subprocess.run(
            [sys.executable, "-m", "poe2gpt", *line], capture_output=True, text=True, check=True
        ).stdout
        for line in lines
    ]

    made, shown = map(json.loads, told)
    assert made.pop("secret")
    assert shown.pop("budgets") == []
    assert made == shown
    assert redis.exists("blue:keys-made")


def test_a_reader_of_the_output_that_has_gone_is_no_fault_of_redis(server: RedisServer) -> None:
    async def work(_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        on_redis(Settings(Given({"redisUrl": server.url}, {})), work)


def test_a_redis_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", "redis://:p4ssword@127.0.0.1:1")
        status = run(["keys", "list"])

    assert status == 1
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "p4ssword" not in said


def test_without_a_running_serve_and_a_redis_the_command_says_what_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 6379)) == 0:
            pytest.skip("a Redis runs at the default address")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)

    status = run(["keys", "list"])

    assert status == 1
    assert "no poe2gpt serve with its own Redis runs on port 3700" in capsys.readouterr().err
