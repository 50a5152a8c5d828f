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


def on_redis(settings: Settings, work: Callable[[Link], Coroutine[Any, Any, None]]) -> None:
    """Do some work on the deployment's Redis. Raises ConfigError, and CommandError if it fails.

    Without `redisUrl` that is the Redis of a `poe2gpt serve` that runs for the same `port`, or
    else the one that gateways and workers would use.
    """
    place = settings.struct(_Place)
    url = _url(settings, place)
    asyncio.run(_run(url, Keys(place.key_prefix), work))


def _url(settings: Settings, place: _Place) -> str:
    if "redisUrl" not in settings.values and (own := embedded.running_at(place.port)):
        return own
    where = settings.where(("redisUrl",))
    return address.checked(config.secrets(place.redis_url, where)[0], where)


async def _run(url: str, keys: Keys, work: Callable[[Link], Coroutine[Any, Any, None]]) -> None:
    link = Link(url, keys, timeout=TIMEOUT)
    try:
        await work(link)
    except (RedisError, OSError, *NO_REDIS) as error:
        raise CommandError(unreachable(url, error)) from None
    finally:
        await link.aclose()
