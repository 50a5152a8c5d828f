"""`poe2gpt groups`: every verb, in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis import Redis

from contract.config import ConfigError, Given, Settings
from poe2gpt.groups import groups
from poe2gpt.terminal import CommandError
from tests.support.deployment import RedisServer, running_redis
from tests.support.keys import keys


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


class Command:
    """Runs the verbs."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._settings = Settings(Given({"redisUrl": url}, {"redisUrl": "--redis-url"}))
        self._capsys = capsys

    def __call__(self, *line: str) -> str:
        assert groups(self._settings, line) == 0
        return self._capsys.readouterr()[0]

    def json(self, *line: str) -> Any:
        return json.loads(self(*line, "--json"))


@pytest.fixture
def command(server: RedisServer, capsys: pytest.CaptureFixture[str]) -> Command:
    with Redis.from_url(server.url) as redis:
        redis.flushall()
        redis.hset(keys.budget("group:the lab:total"), mapping={"spent": 7, "reserved": 3})
    return Command(server.url, capsys)


def test_a_group_is_set_shown_changed_and_removed(command: Command) -> None:
    made = command.json("set", "the lab", "--total-budget", "500", "--time-zone", "Asia/Tokyo")
    command("set", "art", "--day-budget", "0")
    listed = [(group["name"], group["totalBudget"]) for group in command.json("list")]
    changed = command.json("set", "the lab", "--total-budget", "none", "--week-budget", "9")
    shown = command("show", "the lab")
    removed = command.json("remove", "the lab")

    assert made == {
        "name": "the lab",
        "dayBudget": None,
        "weekBudget": None,
        "monthBudget": None,
        "totalBudget": 500,
        "timeZone": "Asia/Tokyo",
        "budgets": [
            {"period": "total", "limit": 500, "spent": 7, "reserved": 3, "renews": None},
        ],
    }
    assert listed == [("art", None), ("the lab", 500)]
    (week,) = changed["budgets"]
    assert (week["period"], week["limit"], week["spent"]) == ("week", 9, 0)
    assert week["renews"].endswith("T00:00:00+09:00")
    assert "week" in shown
    assert removed["weekBudget"] == 9
    assert [group["name"] for group in command.json("list")] == ["art"]
    assert "art" in command("list")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (["show", "lab"], "the group 'lab' has no budgets"),
        (["remove", "lab"], "the group 'lab' has no budgets"),
        (["set", "lab"], "nothing to set is given"),
        (["set", "lab", "--day-budget", "-1"], "--day-budget"),
        (["set", "lab", "--time-zone", "Berlin"], "expected a time zone"),
        (["set", " lab", "--day-budget", "1"], "expected the name of a group"),
    ],
)
def test_a_mistake_is_named(command: Command, line: list[str], why: str) -> None:
    with pytest.raises((CommandError, ConfigError), match=why):
        command(*line)
