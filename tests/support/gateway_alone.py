"""One real gateway and its Redis, with a scripted worker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from tests.support.deployment import (
    KEY,
    PATIENCE,
    Child,
    Gateway,
    RedisServer,
    eventually,
    free_port,
    running_redis,
    spawn,
)
from tests.support.scripted_worker import ScriptedWorker, scripted_worker


@dataclass
class Rig:
    """A gateway, its Redis, and a scripted worker."""

    gateway: Gateway
    server: RedisServer
    redis: Redis
    worker: ScriptedWorker

    async def metric(self, name: str, labels: Mapping[str, str] | None = None) -> float:
        """Return one sample of the gateway's metrics; 0 if there is none."""
        async with self.gateway.http(key=None) as http:
            text = (await http.get("/metrics")).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and sample.labels.items() >= (labels or {}).items()
        )

    async def shows(self, name: str, value: float) -> bool:
        """Return whether a metric without labels has this value."""
        return await self.metric(name) == value


async def start_gateway(
    directory: Path,
    redis_url: str,
    config: str = "",
    key: str | None = KEY,
    *,
    probe: str = "/healthz",
    env: Mapping[str, str] | None = None,
) -> Gateway:
    """Start `poe2gpt gateway`, and wait until `probe` answers 200."""
    port = free_port()
    file = directory / f"config-{port}.toml"
    file.write_text(config)
    child = await spawn(
        directory / f"gateway-{port}.log",
        *(sys.executable, "-m", "poe2gpt", "gateway", "--config", str(file)),
        *("--host", "127.0.0.1", "--port", str(port), "--redis-url", redis_url),
        env={"ACCESS_TOKENS": key or "", **(env or {})},
    )
    gateway = Gateway(child, port)
    await eventually(lambda: gateway.answers(probe), "the gateway")
    return gateway


async def kill(*children: Child | None) -> None:
    for child in children:
        if child is not None and child.process.returncode is None:
            child.process.kill()
            await child.process.wait()


@asynccontextmanager
async def another_gateway(
    directory: Path, redis_url: str, config: str = "", probe: str = "/healthz"
) -> AsyncIterator[Gateway]:
    """Run a gateway on a Redis that need not exist."""
    gateway = await start_gateway(directory, redis_url, config, probe=probe)
    try:
        yield gateway
    finally:
        await kill(gateway.child)


@asynccontextmanager
async def later_redis(directory: Path) -> AsyncIterator[RedisServer]:
    """Yield a Redis that the test starts when it wants to."""
    server = RedisServer(directory)
    try:
        yield server
    finally:
        await kill(server.child)


@asynccontextmanager
async def rig(
    directory: Path,
    config: str = "",
    key: str | None = KEY,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Rig]:
    """Run a gateway with its own Redis and scripted worker."""
    async with running_redis() as server:
        redis = Redis.from_url(server.url, protocol=2)
        async with scripted_worker(redis) as worker:
            gateway = await start_gateway(
                directory, server.url, config, key, probe="/readyz", env=env
            )
            try:
                yield Rig(gateway, server, redis, worker)
            finally:
                await kill(gateway.child)
                await redis.aclose()


CHAT = "/v1/chat/completions"


def asking(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Return the body of a request."""
    return {"model": "Test", "messages": [{"role": "user", "content": text}], **more}


async def text_of(response: httpx.Response) -> str:
    """Return the text of a whole stream, and check that it ended properly."""
    lines = [line async for line in response.aiter_lines()]
    assert lines[-2:] == ["data: [DONE]", ""], lines[-4:]
    return "".join(_contents(lines))


async def spoken(gateway: Gateway, request: bytes) -> bytes:
    """Send these bytes to the gateway, and return everything it sends until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def _contents(lines: list[str]) -> list[str]:
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return [c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]]
