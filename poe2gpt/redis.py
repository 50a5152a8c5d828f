"""Finds the Redis that a command is to work on, and connects to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from redis.exceptions import RedisError

from contract import config
from contract.config import Settings
from contract.keys import PREFIX, Keys
from poe2gpt import embedded
from poe2gpt.serve import NO_REDIS, unreachable
from poe2gpt.terminal import CommandError
from store import address
from store.link import Link

TIMEOUT = 5.0
"""Seconds that Redis has to answer."""


class _Place(msgspec.Struct, frozen=True, rename="camel"):
    redis_url: str = config.REDIS_URL
    key_prefix: config.KeyPrefix = PREFIX
    port: int = 3700


def with_running_serve(settings: Settings) -> Settings:
    """Return the settings with which a `serve` runs on the same `port`, if it has its own Redis."""
    if "redisUrl" in settings.values:
        return settings
    return settings.with_defaults(embedded.running_at(settings.struct(_Place).port) or {})


def on_redis(settings: Settings, work: Callable[[Link], Coroutine[Any, Any, None]]) -> None:
    """Do some work on the deployment's Redis. Raises ConfigError, and CommandError if it fails.

    A pipe that breaks under the work's output is raised as it is.
    """
    place, where = settings.struct(_Place), settings.where(("redisUrl",))
    url = address.checked(config.secrets(place.redis_url, where)[0], where)
    try:
        asyncio.run(_run(url, Keys(place.key_prefix), work))
    except BrokenPipeError:
        raise  # the reader of the command's output has gone
    except msgspec.DecodeError:
        raise CommandError("Redis holds what a later version of poe2gpt wrote: update") from None
    except (RedisError, OSError, *NO_REDIS) as error:
        if "redisUrl" not in settings.values and isinstance(error, ConnectionError):
            raise CommandError(_nowhere(place)) from None
        raise CommandError(unreachable(url, error)) from None


async def _run(url: str, keys: Keys, work: Callable[[Link], Coroutine[Any, Any, None]]) -> None:
    link = Link(url, keys, timeout=TIMEOUT)
    try:
        await work(link)
    finally:
        await link.aclose()


def _nowhere(place: _Place) -> str:
    return (
        f"no poe2gpt serve with its own Redis runs on port {place.port}, and no Redis at "
        f"{place.redis_url}: start one, give the port of the running serve (-p), or set redisUrl "
        "(--redis-url, REDIS_URL)"
    )
