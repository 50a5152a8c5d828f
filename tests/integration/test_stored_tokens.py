"""Poe tokens that are added, parked and removed while workers run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from contract.config import ConfigError, Given, Settings
from poe2gpt.check import check
from poe2gpt.terminal import CommandError
from poe2gpt.tokens import parsed, tokens
from simulated_poe import SimulatedPoe
from tests.support.deployment import Deployment, RedisServer, eventually, running_redis
from tests.support.gateway_alone import CHAT, asking
from tests.support.keys import keys
from worker.sealing import CannotUnseal, seal, unseal

KEY = "0123456789abcdef" * 4
SECRET = "sim-canary-added-0123456789"
OTHER = "sim-canary-other-0123456789"
SEALED_OTHERWISE = "sim-canary-sealed-0123456789"
LISTED = "sim-canary-listed-0123456789"
WORKER = f'tokenKey = "{KEY}"\ncoolDown = 0\nleaseLife = 1\nrateLimit = 1000\n'


def test_what_is_sealed_is_opened_with_its_key_only() -> None:
    sealed = seal(SECRET, KEY)

    assert SECRET.encode() not in sealed
    assert seal(SECRET, KEY) != sealed
    assert unseal(sealed, KEY) == SECRET
    for wrong, key in ((sealed, KEY[::-1]), (sealed[:-4], KEY), (b"", KEY)):
        with pytest.raises(CannotUnseal):
            unseal(wrong, key)


class Command:
    """Runs the verbs of `poe2gpt tokens` in this process."""

    def __init__(self, redis_url: str, monkeypatch: Any, capsys: Any) -> None:
        self._values = {"redisUrl": redis_url, "tokens": [LISTED], "tokenKey": KEY}
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *line: str, **values: Any) -> list[dict[str, Any]]:
        self._monkeypatch.setenv("NEW_TOKEN", SECRET)
        assert tokens(self.settings(**values), [*line, "--json"]) == 0
        out = self._capsys.readouterr().out
        rows: list[dict[str, Any]] = json.loads(out) if out else []
        assert "canary" not in out
        return rows

    def settings(self, **values: Any) -> Settings:
        """Return the settings of the commands, with these values."""
        given = {**self._values, **values}
        return Settings(Given(given, {name: name for name in given}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@pytest.fixture
def command(server: RedisServer, monkeypatch: Any, capsys: Any) -> Command:
    with SyncRedis.from_url(server.url) as redis:
        redis.flushall()
    return Command(server.url, monkeypatch, capsys)


def test_a_token_is_added_parked_unparked_and_removed(command: Command) -> None:
    (added,) = command("add", "env:NEW_TOKEN", "--account", "team", "--cool-down", "0")
    listed = command("list")
    (parked,) = command("park", added["label"], "--for", "2h")
    (held,) = command("park", listed[0]["id"])
    (unparked,) = command("unpark", added["id"])
    command("remove", added["label"])

    assert [row["source"] for row in listed] == ["configuration", "added"]
    assert added["label"].startswith("team-")
    assert (parked["state"], held["state"], unparked["state"]) == ("parked", "parked", "ok")
    assert [row["id"] for row in command("list")] == [listed[0]["id"]]


@pytest.mark.parametrize(
    ("line", "values", "error", "message"),
    [
        pytest.param(
            "add env:NEW_TOKEN", {"tokenKey": ""}, ConfigError, "set it as tokenKey", id="no key"
        ),
        pytest.param(
            "add env:NEW_TOKEN", {"tokenKey": "short"}, ConfigError, "is too short", id="weak key"
        ),
        pytest.param(f"add {SECRET}", {}, ConfigError, "can see a command line", id="in the open"),
        pytest.param("add env:NOPE", {}, ConfigError, "NOPE is not set", id="no variable"),
        pytest.param(
            "add env:NEW_TOKEN --rate-limit 0", {}, ConfigError, "`--rate-limit` = 0", id="limit"
        ),
        pytest.param(
            "add env:NEW_TOKEN --account \x1b[31mred", {}, ConfigError, "printable", id="escape"
        ),
        pytest.param(
            "add env:NEW_TOKEN",
            {"tokens": [SECRET]},
            CommandError,
            "listed in the configuration already",
            id="twice",
        ),
        pytest.param("park nobody", {}, CommandError, "there is no such token", id="unknown"),
        pytest.param("park x --for 0", {}, ConfigError, "expected a span", id="no time"),
        pytest.param("prk x", {}, ConfigError, "(see poe2gpt tokens --help)", id="verb"),
    ],
)
def test_a_mistake_is_told_and_no_secret(
    command: Command, line: str, values: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as told:
        command(*line.split(), **values)

    assert message in str(told.value)
    assert "canary" not in str(told.value)


def test_a_token_of_the_configuration_is_removed_there(command: Command) -> None:
    (row,) = command("list")

    with pytest.raises(CommandError, match="remove it there"):
        command("remove", row["id"])


def test_what_was_added_before_it_was_listed_can_still_be_removed(command: Command) -> None:
    (added,) = command("add", "env:NEW_TOKEN")

    command("remove", added["id"], tokens=[SECRET])

    assert command("list", tokens=[]) == []


def test_that_there_is_no_token_is_said_and_no_failure(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    status = tokens(command.settings(tokens=[]), ["list"])

    told = capsys.readouterr()
    assert (status, told.out) == (0, "")
    assert "there is no Poe token: " in told.err
    assert command("list", tokens=[]) == []


def test_a_check_without_any_token_fails_and_says_what_to_pass(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    status = check(command.settings(tokens=[]), "no file")

    told = capsys.readouterr()
    assert status == 1
    assert "no Poe token in this configuration: pass the service's -t or --config" in told.err
    assert "TOKEN" not in told.out


def test_a_check_names_an_added_token_that_cannot_be_decrypted(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (added,) = command("add", "env:NEW_TOKEN")

    status = check(command.settings(tokens=[], tokenKey=KEY[::-1]), "no file")

    assert status == 1
    assert f"{added['label']}  cannot be decrypted" in capsys.readouterr().out


def test_without_a_reference_the_token_comes_from_standard_input() -> None:
    assert parsed(["add"]).secret == "-"


@dataclass
class Running:
    """Two workers that begin with one token between them, and a gateway."""

    deployment: Deployment
    poe: SimulatedPoe
    redis: Redis

    def calls(self) -> dict[str, int]:
        """Return how many calls each account at Poe has received."""
        counts: dict[str, int] = {}
        for call in self.poe.record.calls:
            counts[call.account] = counts.get(call.account, 0) + 1
        return counts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    tmp_path_factory: pytest.TempPathFactory, server: RedisServer
) -> AsyncIterator[Running]:
    redis = Redis.from_url(server.url, protocol=2)
    await redis.flushall()
    deployment = Deployment(tmp_path_factory.mktemp("tokens"), server)
    try:
        poe = await deployment.start_poe()
        for _ in range(2):
            await deployment.start_worker(config=WORKER, tokens="")
        yield Running(deployment, poe, redis)
    finally:
        await deployment.close()
        await redis.aclose()


@pytest.mark.asyncio(loop_scope="module")
async def test_workers_take_up_what_is_added_and_let_go_what_is_parked_or_removed(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given workers that started without any token, and a request that waits for one
    gateway = await running.deployment.start_gateway()
    command = Command(running.deployment.redis.url, monkeypatch, capsys)

    async def run(*line: str) -> list[dict[str, Any]]:
        return await in_thread(command, *line, tokens=[])

    async with gateway.http() as http:

        async def ask() -> None:
            answer = await http.post(CHAT, json=asking("hello", model="Echo"))
            assert answer.status_code == 200, answer.text

        # When one is added, it serves
        (first,) = await run("add", "env:NEW_TOKEN")
        await ask()
        monkeypatch.setenv("OTHER_TOKEN", OTHER)
        (second,) = await run("add", "env:OTHER_TOKEN")
        one, other = account_of(SECRET), account_of(OTHER)
        assert running.calls() == {one: 1}

        # When it is parked, the other one serves, and no success brings it back
        await run("park", first["id"])
        for _ in range(4):
            await ask()
        assert running.calls() == {one: 1, other: 4}

        # When it is unparked and the other removed, it serves again
        await run("unpark", first["id"])
        await run("remove", second["id"])
        await eventually(lambda: owned(running, [first["id"]]), "the list without the other")
        await ask()
        assert running.calls() == {one: 2, other: 4}


@pytest.mark.asyncio(loop_scope="module")
async def test_tokens_that_only_workers_have_are_listed_and_parked_and_fail_a_check(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a worker with a token of its own, and one that was added
    await running.deployment.start_worker(config=WORKER, tokens=LISTED)
    command = Command(running.deployment.redis.url, monkeypatch, capsys)
    (added,) = await in_thread(command, "add", "env:NEW_TOKEN", tokens=[])
    own = (await in_thread(command, "list"))[0]["id"]

    # When they are listed by a configuration without it, it is there
    async def states() -> dict[str, tuple[str, str]]:
        rows = await in_thread(command, "list", tokens=[])
        return {row["id"]: (row["source"], row["state"]) for row in rows}

    async def is_used() -> bool:
        return (await states()).get(own) == ("workers", "ok")

    await eventually(is_used, "the worker's token in the list")
    assert (await states())[added["id"]] == ("added", "ok")

    # And it can be parked by its id
    (parked,) = await in_thread(command, "park", own, tokens=[])
    assert (parked["state"], parked["source"]) == ("parked", "workers")
    await in_thread(command, "unpark", own, tokens=[])

    # And a check asks for the balance of the added one, and fails for lack of the other
    async def says(expected: str, **values: Any) -> bool:
        settings = command.settings(poeUrl=running.deployment.poe_url, **values)
        statuses.append(await asyncio.to_thread(check, settings, "no file"))
        told = capsys.readouterr()
        return f"{added['label']}  ok" in told.out and expected in (told.err or "nothing")

    statuses: list[int] = []
    lack = "workers use 1 Poe token that this configuration does not have"
    await eventually(lambda: says(lack, tokens=[]), lack)
    assert statuses[-1] == 1

    # While one that knows it is content
    await eventually(lambda: says("nothing"), "a check of both")
    assert statuses[-1] == 0

    # And of one that was added under another tokenKey, it says why no worker uses it
    monkeypatch.setenv("OTHER_TOKEN", SEALED_OTHERWISE)
    other = {"poeUrl": running.deployment.poe_url, "tokenKey": KEY[::-1]}
    (unused,) = await in_thread(command, "add", "env:OTHER_TOKEN", **other)
    assert await asyncio.to_thread(check, command.settings(**other), "no file") == 1
    why = "owned by no worker: is it in their configuration, or added under their tokenKey?"
    assert f"{unused['label']}  {why}" in capsys.readouterr().out


async def in_thread(command: Command, *line: str, **values: Any) -> list[dict[str, Any]]:
    """Run a command that has an event loop of its own."""
    return await asyncio.to_thread(command, *line, **values)


async def owned(running: Running, ids: list[str]) -> bool:
    """Return whether the workers know of these batches and no others."""
    names = await running.redis.keys(keys.knows("*"))
    known = [await running.redis.smembers(name) for name in names]
    return bool(known) and all(each == {b"", *(i.encode() for i in ids)} for each in known)


def account_of(secret: str) -> str:
    from simulated_poe.accounts import fingerprint

    return fingerprint(secret)


# This one comes last: it looks at what the others have left.
@pytest.mark.asyncio(loop_scope="module")
async def test_no_added_secret_is_left_anywhere_but_encrypted(running: Running) -> None:
    held = [key + (await running.redis.dump(key) or b"") for key in await running.redis.keys("*")]
    assert running.deployment.redis.child
    log = running.deployment.redis.child.log
    held += [file.read_bytes() for file in log.parent.glob("appendonlydir/*")]
    held += [child.log.read_bytes() for child in running.deployment.children]

    everything = b"\n".join(held)

    assert b"canary" not in everything
    assert KEY.encode() not in everything
    assert msgspec.json.encode("sealed") in everything
