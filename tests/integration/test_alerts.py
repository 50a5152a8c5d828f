"""Alerts of a worker: its log, and a webhook that works, fails, redirects, or never answers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.alerts import Alert
from contract.keys import DEFAULT_KEYS
from tests.support.deployment import RedisServer, running_redis
from tests.support.webhook import SECRET, Webhook, serving_webhook
from worker import alerts
from worker.alerts import Alerts
from worker.config import WorkerConfig
from worker.queue.alerts import AlertQueue
from worker.queue.session import RedisSession


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@pytest_asyncio.fixture
async def webhook() -> AsyncIterator[Webhook]:
    async with serving_webhook() as webhook:
        yield webhook


class Worker:
    """What of a worker delivers alerts."""

    def __init__(self, server: RedisServer, redis: Redis, webhook: str) -> None:
        self.redis = redis
        self.session = RedisSession(server.url, "w", DEFAULT_KEYS)
        self._alerts = Alerts(AlertQueue(self.session), WorkerConfig(budget_webhook=webhook))

    async def spend(self, *percents: int) -> None:
        """Leave alerts as a script does that spends a budget."""
        now, micros = await self.redis.time()
        at = now * 1000 + micros // 1000
        for each in percents:
            alert = Alert("key:0a:day:1", "key", "ann", "day", each, each, 100, at + 1000, at)
            await self.redis.zadd("p2g:alerts", {msgspec.msgpack.encode(alert): at})

    async def deliver(self) -> None:
        await self._alerts.deliver()

    async def retry_at_once(self) -> None:
        for alert in await self.redis.zrange("p2g:alerts", 0, -1):
            await self.redis.zadd("p2g:alerts", {alert: 1})

    async def left(self) -> int:
        return int(await self.redis.zcard("p2g:alerts"))


@pytest_asyncio.fixture
async def worker(server: RedisServer, webhook: Webhook) -> AsyncIterator[Worker]:
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()
        worker = Worker(server, redis, webhook.url)
        yield worker
        await worker.session.aclose()


async def test_each_alert_is_logged_and_posted_once(
    worker: Worker, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.spend(80, 100)
    await worker.deliver()
    await worker.deliver()

    assert sorted(each["percent"] for each in webhook.got) == [80, 100]
    assert all("ann" in each["text"] and SECRET in each["path"] for each in webhook.got)
    assert len([each for each in caplog.messages if "daily budget of the key ann" in each]) == 2
    assert await worker.left() == 0


@pytest.mark.parametrize(
    ("status", "headers"),
    [(500, {}), (404, {}), (302, {"Location": "/elsewhere"}), (307, {"Location": "/elsewhere"})],
)
async def test_what_is_not_taken_is_tried_again_and_no_redirect_is_followed(
    worker: Worker,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
    status: int,
    headers: dict[str, str],
) -> None:
    webhook.status, webhook.headers = status, headers
    await worker.spend(80)
    await worker.deliver()
    await worker.deliver()
    assert len(webhook.got) == 1
    assert f"answers with status {status}" in caplog.text

    webhook.status = 204
    await worker.retry_at_once()
    await worker.deliver()

    assert len(webhook.got) == 2
    assert await worker.left() == 0
    assert len([each for each in caplog.messages if "daily budget" in each]) == 1
    assert SECRET not in caplog.text


async def test_a_webhook_that_does_not_answer_is_left(
    worker: Worker,
    webhook: Webhook,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alerts, "TIMEOUT", 0.2)
    webhook.is_silent = True
    await worker.spend(80)

    await worker.deliver()

    assert "does not answer" in caplog.text
    assert await worker.left() == 1


async def test_a_webhook_that_nobody_can_reach_is_told_without_its_url(
    server: RedisServer, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Worker(server, worker.redis, f"http://127.0.0.1:1/{SECRET}")
    await nowhere.spend(80)
    await nowhere.deliver()
    await nowhere.session.aclose()

    assert "cannot be reached (ConnectError)" in caplog.text
    assert SECRET not in caplog.text
    assert await worker.left() == 1


async def test_without_a_webhook_the_log_alone_has_it(
    server: RedisServer, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    silent = Worker(server, worker.redis, "")
    await silent.spend(100)
    await silent.deliver()
    await silent.session.aclose()

    assert "is used up" in caplog.text
    assert await worker.left() == 0


async def test_an_old_alert_is_given_up(
    worker: Worker, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.status = 500
    old = Alert("key:0a:day:1", "key", "ann", "day", 80, 80, 100, 0, 1_700_000_000_000)
    await worker.redis.zadd("p2g:alerts", {msgspec.msgpack.encode(old): old.at})

    await worker.deliver()

    assert "an alert is given up" in caplog.text
    assert await worker.left() == 0
