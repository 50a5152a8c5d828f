"""One Redis for all tests of the scripts, emptied before each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from redis import Redis

from tests.support.deployment import RedisServer, running_redis
from tests.support.scripts import Scripts


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_redis() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@pytest.fixture
def scripts(shared_redis: RedisServer) -> Iterator[Scripts]:
    with Redis.from_url(shared_redis.url, protocol=2) as redis:
        redis.flushall()
        yield Scripts(redis)
