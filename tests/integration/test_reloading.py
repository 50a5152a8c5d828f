"""Settings that change while processes run: by SIGHUP, and by a changed file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from simulated_poe import SimulatedPoe
from tests.support.deployment import (
    Child,
    Deployment,
    Gateway,
    eventually,
    free_port,
    running_redis,
    spawn,
)
from tests.support.gateway_alone import CHAT, asking, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND = "sk-first-canary-0123456789", "sk-second-canary-0123456789"
LIMITS = "coolDown = 0\nrateLimit = 1000\nleaseLife = 1\n"


@dataclass
class Place:
    """A gateway and a worker that share one file, and each a file of secrets."""

    deployment: Deployment
    poe: SimulatedPoe
    gateway: Gateway
    worker: Child
    directory: Path

    def write(self, text: str, name: str = "config.toml") -> None:
        replace(self.directory / name, text)

    def good(self, more: str = "") -> str:
        return good(self.directory, more)

    def accounts(self) -> list[str]:
        return [call.account for call in self.poe.record.calls]


def replace(file: Path, text: str) -> None:
    """Replace a file at once, as editors do."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def good(directory: Path, more: str = "") -> str:
    secrets = f'tokens = ["file:{directory}/tokens"]\naccessTokens = ["file:{directory}/keys"]\n'
    return secrets + LIMITS + more


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory, port = tmp_path_factory.mktemp("reloading"), free_port()
    (directory / "keys").write_text(FIRST)
    (directory / "tokens").write_text("sim-one")
    file = directory / "config.toml"
    file.write_text(good(directory))
    async with running_redis() as server:
        deployment = Deployment(directory, server)
        try:
            poe = await deployment.start_poe()
            where = ("--config", str(file), "--redis-url", server.url, "--poe-url", poe.url)
            listen = ("--host", "127.0.0.1", "--port", str(port))
            worker, gateway = [
                await spawn(
                    directory / f"{role}.log",
                    *(sys.executable, "-m", "poe2gpt", role, *where, *listen),
                )
                for role in ("worker", "gateway")
            ]
            deployment.children += [worker, gateway]
            place = Place(deployment, poe, Gateway(gateway, port), worker, directory)
            await eventually(lambda: place.gateway.answers("/readyz"), "the gateway")
            yield place
        finally:
            await deployment.close()


async def status(gateway: Gateway, key: str) -> int:
    async with gateway.http(key) as http:
        return (await http.get("/v1/models")).status_code


async def test_a_changed_file_of_secrets_takes_effect_and_cuts_no_stream(place: Place) -> None:
    body = asking("60 every 50ms", model="Count", stream=True)
    async with (
        place.gateway.http(FIRST) as http,
        http.stream("POST", CHAT, json=body) as answer,
    ):
        place.write(SECOND, "keys")

        async def is_refused() -> bool:
            return await status(place.gateway, FIRST) == 401

        await eventually(is_refused, "the new keys")
        renewed = await status(place.gateway, SECOND)
        text = await text_of(answer)

    assert renewed == 200
    assert text.split() == [str(number) for number in range(1, 61)]


async def test_new_tokens_are_used_and_old_ones_let_go(place: Place) -> None:
    place.write("sim-two", "tokens")

    async def has_moved() -> bool:
        async with place.gateway.http(SECOND) as http:
            answer = await http.post(CHAT, json=asking("hello", model="Echo"))
            assert answer.status_code == 200
        return len(set(place.accounts()[-3:])) == 1 and len(set(place.accounts())) == 2

    await eventually(has_moved, "the new token")


async def test_a_broken_file_is_refused_with_its_reason_and_the_old_settings_stay(
    place: Place,
) -> None:
    place.write(place.good("queueTimeot = 5\n"))

    for child in (place.gateway.child, place.worker):
        await eventually(has_said(child, "queueTimeot"), "the reason")
        assert "did you mean `queueTimeout`?" in child.output()
        assert "the settings stay as they are" in child.output()
    assert await status(place.gateway, SECOND) == 200


async def test_models_change_on_sighup_and_what_needs_a_restart_is_told(place: Place) -> None:
    place.write(place.good('maxBody = 7\n[bot]\n"mine" = "Echo"\n'))
    place.gateway.child.send(signal.SIGHUP)

    async def is_only_mine() -> bool:
        async with place.gateway.http(SECOND) as http:
            models = (await http.get("/v1/models")).json()["data"]
        return [each["id"] for each in models] == ["mine"]

    await eventually(is_only_mine, "the models")
    await eventually(has_said(place.gateway.child, '"maxBody"'), "the log line")


async def test_no_reload_lets_everyone_in(place: Place) -> None:
    place.write(f'{LIMITS}tokens = ["file:{place.directory}/tokens"]\n')
    place.gateway.child.send(signal.SIGHUP)

    await eventually(has_said(place.gateway.child, "anyone could ask"), "the reason")
    assert await status(place.gateway, SECOND) == 200
    assert await status(place.gateway, "sk-nobody") == 401


async def test_a_gateway_never_holds_what_is_the_workers(place: Place) -> None:
    held = await asyncio.to_thread(holdings, place.gateway.child)

    assert b"config.toml" in held
    assert b"sim-" not in held


async def test_serve_passes_sighup_on_and_gives_new_settings_to_what_it_starts_again(
    tmp_path: Path,
) -> None:
    # Given a serve with its own Redis
    file, port = tmp_path / "config.toml", free_port()
    async with SimulatedPoe() as poe:
        text = f'tokens = ["sim-one"]\n{LIMITS}poeUrl = "{poe.url}"\naccessTokens = ["%s"]\n'
        file.write_text(text % FIRST)
        serve = await spawn(
            tmp_path / "serve.log",
            *(sys.executable, "-m", "poe2gpt", "--config", str(file), "--port", str(port)),
            *("--host", "127.0.0.1", "--workers", "1"),
            env={"XDG_STATE_HOME": str(tmp_path)},
        )
        gateway = Gateway(serve, port)
        try:
            await eventually(lambda: gateway.answers("/readyz"), "serve")

            # When the file changes, serve is told so, and its gateway dies
            replace(file, text % SECOND)
            serve.send(signal.SIGHUP)
            await eventually(lambda: answers_to(gateway, SECOND), "the new key")
            os.kill(pid_of_gateway(serve), signal.SIGKILL)

            # Then the gateway that takes its place has the new settings, too
            await eventually(has_said(serve, "gateway was killed"), "the death")
            await eventually(lambda: answers_to(gateway, SECOND), "the new key")
            assert await status(gateway, FIRST) == 401
        finally:
            assert await serve.stop() == 0


async def answers_to(gateway: Gateway, key: str) -> bool:
    return await gateway.answers("/healthz") and await status(gateway, key) == 200


def pid_of_gateway(serve: Child) -> int:
    children = Path(f"/proc/{serve.pid}/task/{serve.pid}/children").read_text().split()
    (pid,) = [
        int(pid) for pid in children if b"\0gateway\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return pid


def has_said(child: Child, text: str) -> Callable[[], bool]:
    return lambda: text in child.output()


def holdings(child: Child) -> bytes:
    """What a process was given: its environment, and what is behind its descriptors."""
    found = [Path(f"/proc/{child.pid}/environ").read_bytes(), child.log.read_bytes()]
    for fd in Path(f"/proc/{child.pid}/fd").iterdir():
        if str(fd.readlink()).startswith("/memfd:"):
            found.append(fd.read_bytes())
    return b"".join(found)
