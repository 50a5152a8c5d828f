"""Runs the whole service on this machine: Redis, a gateway and workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
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

from admin.config import AdminConfig, admin_config
from contract.config import Settings
from gateway.config import GatewayConfig, gateway_config
from gateway.listening import reached_at
from poe2gpt import __version__, embedded, ports
from poe2gpt.become import environment, program, with_tokens
from poe2gpt.programs import GATEWAY, WORKER
from poe2gpt.reread import Role
from poe2gpt.supervisor import Supervisor
from poe2gpt.terminal import CommandError, say
from worker.config import WorkerConfig

Sources = Callable[[Role, Mapping[str, Any]], int]
"""Writes down where a program has its settings from; see `reread.source_of`."""

NO_REDIS = (AttributeError, LookupError, TypeError, ValueError)
"""What redis-py raises when the server at the address is not a Redis."""


class Stack(msgspec.Struct, frozen=True):
    """What to run: one gateway, some workers and the admin service, on one Redis."""

    gateway: GatewayConfig
    worker: WorkerConfig
    workers: int
    environment: dict[str, str]
    admin: AdminConfig | None = None
    """The admin service; None: it has no login token, so it does not run."""
    gateway_source: int | None = None
    """The descriptor of where the gateway has its settings from."""
    worker_source: int | None = None
    log: Path | None = None
    """The file for the programs' logs; None: our stderr."""

    def on(self, redis_url: str) -> Stack:
        """Return the same stack on another Redis."""
        return msgspec.structs.replace(
            self,
            gateway=msgspec.structs.replace(self.gateway, redis_url=redis_url),
            worker=msgspec.structs.replace(self.worker, redis_url=redis_url),
            admin=self.admin and msgspec.structs.replace(self.admin, redis_url=redis_url),
        )

    def reading(self, sources: Sources, own: Mapping[str, Any]) -> Stack:
        """Return the same stack, whose programs read their settings again when those change.

        `own` are the settings that nobody has given.
        """
        return msgspec.structs.replace(
            self, gateway_source=sources("gateway", own), worker_source=sources("worker", own)
        )

    @property
    def drain_timeout(self) -> float:
        return max(self.gateway.drain_timeout, self.worker.drain_timeout)


def serve(settings: Settings, workers: int, sources: Sources) -> int:
    """Run everything until a signal, and return the exit status."""
    stack, warnings = _stack(settings, workers)
    for warning in warnings:
        say(f"warning: {warning}")
    gateway = stack.gateway
    ports.ensure_free(gateway.host, gateway.port)
    if stack.admin is not None:
        admin = stack.admin
        if admin.admin_port == gateway.port:
            raise CommandError(f"port and adminPort are both {gateway.port}: set one to another")
        ports.ensure_free(admin.admin_host, admin.admin_port, "set adminPort to another port")
    if "redisUrl" in settings.values:
        return asyncio.run(_serve(stack.reading(sources, {}), None))
    server = embedded.find_server()
    with embedded.persistent_directory(gateway.port) as data:
        own = {"redisUrl": data.url, **embedded.made_keys(data)}
        stack, _ = _stack(settings.with_defaults(own), workers)
        return asyncio.run(_serve(stack.reading(sources, own), (server, data)))


def _stack(settings: Settings, workers: int) -> tuple[Stack, list[str]]:
    gateway, open_warnings = gateway_config(settings)
    worker, token_warnings = with_tokens(settings)
    stack = Stack(gateway, worker, workers, environment(settings), _admin(settings, gateway))
    return stack, [*open_warnings, *token_warnings]


def _admin(settings: Settings, gateway: GatewayConfig) -> AdminConfig | None:
    admin = admin_config(
        settings.with_defaults({"gatewayUrl": reached_at(gateway.host, gateway.port)})
    )
    return admin if admin.admin_token else None


async def start_stack(stack: Stack, supervisor: Supervisor) -> None:
    """Start the programs, and wait until the gateway is ready and the admin page is there."""
    programs = [program("gateway", stack.gateway, GATEWAY, stack.environment, stack.gateway_source)]
    for number in range(1, stack.workers + 1):
        worker = program("worker", stack.worker, WORKER, stack.environment, stack.worker_source)
        programs.append(msgspec.structs.replace(worker, name=f"worker {number}"))
    if stack.admin is not None:
        programs.append(program("admin", stack.admin, WORKER, stack.environment))
    for each in programs:
        supervisor.start(msgspec.structs.replace(each, log=stack.log))
    await _until_ready(f"{reached_at(stack.gateway.host, stack.gateway.port)}/readyz")
    if stack.admin is not None:
        await _until_ready(f"{admin_url(stack.admin)}/healthz")


def admin_url(admin: AdminConfig) -> str:
    """Return where the admin page is."""
    return reached_at(admin.admin_host, admin.admin_port)


async def _serve(stack: Stack, own_redis: tuple[str, embedded.DataDirectory] | None) -> int:
    supervisor = Supervisor(stack.drain_timeout)

    async def startup() -> None:
        if own_redis is None:
            await _say_if_unreachable(stack.worker.redis_url)
        else:
            server, data = own_redis
            redis = supervisor.start(embedded.program(server, data))
            await embedded.until_ready(redis, data)
        await start_stack(stack, supervisor)
        print(_welcome(stack, own_redis), flush=True)

    return await supervisor.run(startup())


async def _say_if_unreachable(url: str) -> None:
    try:
        async with embedded.connect(url) as client:
            await client.ping()
    except (RedisError, OSError, *NO_REDIS) as error:
        say(f"{unreachable(url, error)}; retrying")


def unreachable(url: str, error: Exception) -> str:
    """Describe why a Redis cannot be used, and what to do."""
    place = without_password(url)
    match error:
        case AuthenticationError():
            return f"Redis at {place} requires another user or password than redisUrl has"
        case BusyLoadingError():
            return f"Redis at {place} is still loading its data"
        case OutOfMemoryError():
            return f"Redis at {place} is full: maxmemory is reached"
        case ResponseError():
            return f"Redis at {place} refuses commands: {error}"
        case InvalidResponse() | AttributeError() | LookupError() | TypeError() | ValueError():
            return f"the server at {place} is not a Redis: check redisUrl (--redis-url, REDIS_URL)"
    return (
        f"Redis at {place} does not answer: start it, or omit redisUrl "
        "(--redis-url, REDIS_URL) to have poe2gpt serve start one"
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
        response = await client.get(url)
    except httpx.TransportError as error:
        return f"{url} does not answer ({type(error).__name__})"
    return "" if response.status_code == 200 else f"{url} says {response.text[:200]}"


def without_password(url: str) -> str:
    """Return a URL without its user, password and query, for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _welcome(stack: Stack, own_redis: tuple[str, embedded.DataDirectory] | None) -> str:
    redis = f"{own_redis[0]} in {own_redis[1].directory}" if own_redis else "the one given"
    tokens, clients = len(stack.worker.tokens), len(stack.gateway.access_tokens)
    return (
        f"poe2gpt {__version__} is ready: {reached_at(stack.gateway.host, stack.gateway.port)}/v1\n"
        f"  {tokens} Poe token{'s' * (tokens != 1)}, {stack.workers} workers, "
        f"{clients or 'no'} access token{'s' * (clients != 1)}; Redis: {redis}"
        + (f"\n  admin page: {admin_url(stack.admin)}" if stack.admin else "")
    )
