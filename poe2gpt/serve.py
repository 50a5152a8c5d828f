"""Runs everything on this machine: Redis, a gateway and workers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from contract.config import Settings
from gateway.config import GatewayConfig, gateway_config
from gateway.listening import reached_at
from poe2gpt import __version__, embedded, ports
from poe2gpt.become import environment, program, with_tokens
from poe2gpt.programs import GATEWAY, WORKER
from poe2gpt.supervisor import Supervisor
from poe2gpt.terminal import say
from worker.config import WorkerConfig

NO_REDIS = (AttributeError, LookupError, TypeError, ValueError)
"""What redis-py raises where something else answers in the place of Redis."""


class House(msgspec.Struct, frozen=True):
    """What is to run: one gateway and some workers, on one Redis."""

    gateway: GatewayConfig
    worker: WorkerConfig
    workers: int
    environment: dict[str, str]
    log: Path | None = None
    """Where the programs' logs go, if not to our stderr."""

    def on(self, redis_url: str) -> House:
        """Move to another Redis."""
        return msgspec.structs.replace(
            self,
            gateway=msgspec.structs.replace(self.gateway, redis_url=redis_url),
            worker=msgspec.structs.replace(self.worker, redis_url=redis_url),
        )

    @property
    def drain_timeout(self) -> float:
        return max(self.gateway.drain_timeout, self.worker.drain_timeout)


def serve(settings: Settings, workers: int) -> int:
    """Run everything until a signal comes, and return the exit status."""
    house, warnings = _house(settings, workers)
    for warning in warnings:
        say(f"warning: {warning}")
    gateway = house.gateway
    ports.ensure_free(gateway.host, gateway.port)
    if "redisUrl" in settings.values:
        return asyncio.run(_serve(house, None))
    server = embedded.find_server()
    with embedded.kept_place(gateway.port) as place:
        keyed = settings.with_default("fingerprintKey", embedded.fingerprint_key(place))
        house, _ = _house(keyed, workers)
        return asyncio.run(_serve(house.on(place.url), (server, place)))


def _house(settings: Settings, workers: int) -> tuple[House, list[str]]:
    gateway, open_warnings = gateway_config(settings)
    worker, token_warnings = with_tokens(settings)
    house = House(gateway, worker, workers, environment(settings))
    return house, [*open_warnings, *token_warnings]


async def open_house(house: House, supervisor: Supervisor) -> None:
    """Start the gateway and the workers, and wait until the gateway is ready."""
    programs = [program("gateway", house.gateway, GATEWAY, house.environment)]
    for number in range(1, house.workers + 1):
        worker = program("worker", house.worker, WORKER, house.environment)
        programs.append(msgspec.structs.replace(worker, name=f"worker {number}"))
    for each in programs:
        supervisor.start(msgspec.structs.replace(each, log=house.log))
    await _until_ready(reached_at(house.gateway.host, house.gateway.port))


async def _serve(house: House, own_redis: tuple[str, embedded.Place] | None) -> int:
    supervisor = Supervisor(house.drain_timeout)

    async def story() -> None:
        if own_redis is None:
            await _say_if_unreachable(house.worker.redis_url)
        else:
            server, place = own_redis
            redis = supervisor.start(embedded.program(server, place))
            await embedded.until_ready(redis, place)
        await open_house(house, supervisor)
        print(_welcome(house, own_redis), flush=True)

    return await supervisor.run(story())


async def _say_if_unreachable(url: str) -> None:
    try:
        async with embedded.connect(url) as client:
            await client.ping()
    except (RedisError, OSError, *NO_REDIS) as error:
        say(f"{unreachable(url, error)}; trying on")


def unreachable(url: str, error: Exception) -> str:
    """Say what is the matter with a Redis, and what helps."""
    place = without_password(url)
    match error:
        case AuthenticationError():
            return f"Redis at {place} asks for another user or password than redisUrl has"
        case BusyLoadingError():
            return f"Redis at {place} is still loading its data"
        case OutOfMemoryError():
            return f"Redis at {place} is full: maxmemory is reached"
        case ResponseError():
            return f"Redis at {place} refuses to serve us: {error}"
        case InvalidResponse() | AttributeError() | LookupError() | TypeError() | ValueError():
            return f"what answers at {place} is no Redis: look at redisUrl (--redis-url, REDIS_URL)"
    return (
        f"Redis at {place} does not answer: start it, or leave out redisUrl "
        "(--redis-url, REDIS_URL) to get one started"
    )


async def _until_ready(url: str) -> None:
    told = ""
    loop = asyncio.get_running_loop()
    patience = loop.time() + 5
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        while reason := await _not_ready(client, url):
            if loop.time() > patience and reason != told:
                say(f"not ready yet: {reason}")
                told = reason
            await asyncio.sleep(0.1)


async def _not_ready(client: httpx.AsyncClient, url: str) -> str:
    try:
        response = await client.get(f"{url}/readyz")
    except httpx.TransportError as error:
        return f"the gateway does not answer ({type(error).__name__})"
    return "" if response.status_code == 200 else f"/readyz says {response.text[:200]}"


def without_password(url: str) -> str:
    """Show a URL to people."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _welcome(house: House, own_redis: tuple[str, embedded.Place] | None) -> str:
    redis = f"{own_redis[0]} in {own_redis[1].directory}" if own_redis else "the one given"
    tokens, clients = len(house.worker.tokens), len(house.gateway.access_tokens)
    return (
        f"poe2gpt {__version__} is ready: {reached_at(house.gateway.host, house.gateway.port)}/v1\n"
        f"  {tokens} Poe token{'s' * (tokens != 1)}, {house.workers} workers, "
        f"{clients or 'no'} access token{'s' * (clients != 1)}; Redis: {redis}"
    )
