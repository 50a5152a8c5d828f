"""Points from the request to the webhook, to `poe2gpt usage`, to the metrics, to SQL.

A key with a budget spends all of it in a whole deployment; then everything that tells of it is
compared, and searched for what none of it may hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.config import Given, Settings
from contract.ledger import Request
from poe2gpt.export import export
from poe2gpt.usage import usage
from store.link import Link
from store.stored_keys import StoredKeys
from tests.support.deployment import Deployment, Gateway, eventually, running_redis
from tests.support.gateway_alone import CHAT, asking
from tests.support.keys import keys
from tests.support.webhook import SECRET, Webhook, serving_webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRICE = 100
"""Points: nobody knows what `Echo` costs."""
AFFORDED = 5
"""Calls that the budget suffices for."""

PROMPT = "canary-prompt-of-the-client"
TOKEN = "sim-canary-token-0123456789"

MARK = Request(job="mark", client="mark", name="mark", settled=1)
BY = ("--by", "key,model,account")

GATEWAY = f"requireKey = true\ndefaultPoints = {PRICE}\n"
WORKER = """
rateLimit = 1000
coolDown = 0
reconcileEvery = 0
budgetWebhook = "env:BUDGET_WEBHOOK"
"""


@dataclass
class Told:
    """What a key with a budget has left behind."""

    statuses: list[int] = field(default_factory=list)
    webhook: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    metrics: str = ""
    database: Path = Path()
    places: dict[str, bytes] = field(default_factory=dict)
    """All that can be read, by where."""
    secret: str = ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    directory = tmp_path_factory.mktemp("spending")
    async with running_redis() as server, serving_webhook() as webhook:
        deployment = Deployment(directory, server)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("BUDGET_WEBHOOK", webhook.url)
                await deployment.start_poe()
                await deployment.start_worker(config=WORKER, tokens=TOKEN)
                gateway = await deployment.start_gateway(config=GATEWAY)
            async with Redis.from_url(server.url) as redis:
                yield await spend(deployment, gateway, webhook, redis)
        finally:
            await deployment.close()


async def spend(deployment: Deployment, gateway: Gateway, webhook: Webhook, redis: Redis) -> Told:
    told = Told(database=deployment.directory / "ledger.db")
    link = Link(deployment.redis.url, timeout=5.0)
    terms = {"name": "ann", "group": "lab", "monthBudget": AFFORDED * PRICE}
    _, told.secret = await StoredKeys(partial(link.run, now="0")).add(
        Given(terms, {name: name for name in terms})
    )
    await link.aclose()
    async with gateway.http(told.secret) as http:

        async def is_looking() -> bool:
            # Only what is written after the gateway's first look at the ledger counts.
            await redis.xadd(keys.ledger, {"r": msgspec.msgpack.encode(MARK)})
            return MARK.name in (await http.get("/metrics")).text

        await eventually(is_looking, "the gateway's first look")
        for _ in range(AFFORDED + 1):
            answer = await http.post(CHAT, json=asking(f"{PROMPT} 3", model="Echo"))
            told.statuses.append(answer.status_code)

        async def is_counted() -> bool:
            told.metrics = (await http.get("/metrics")).text
            return f'{{key="ann",model="Echo"}} {AFFORDED * PRICE}.0' in told.metrics

        await eventually(is_counted, "the metrics")
    await eventually(lambda: len(webhook.got) >= 2, "the webhook")
    told.webhook = webhook.got
    settings = Settings(Given({"redisUrl": deployment.redis.url}, {"redisUrl": "--redis-url"}))
    told.usage = json.loads(await printed(usage, settings, "--key", "ann", *BY, "--json"))
    table = await printed(usage, settings, *BY, "--by", "day,group")
    await printed(export, settings, "--sqlite", str(told.database), "--once")
    told.places = {
        "usage": table.encode() + json.dumps(told.usage).encode(),
        "webhook": json.dumps([{**each, "path": ""} for each in webhook.got]).encode(),
        "metrics": told.metrics.encode(),
        "ledger": repr(await redis.xrange(keys.ledger)).encode(),
        "database": told.database.read_bytes(),
        **{child.log.name: child.log.read_bytes() for child in deployment.children},
    }
    return told


async def printed(command: Any, settings: Settings, *line: str) -> str:
    """Run a command, and return what it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert await asyncio.to_thread(command, settings, line) == 0
    return output.getvalue()


async def test_the_budget_ends_with_a_402_and_both_marks_reach_the_webhook(told: Told) -> None:
    assert told.statuses == [200] * AFFORDED + [402]
    alerts = [(each["percent"], each["spent"], each["period"]) for each in told.webhook]
    assert sorted(alerts) == [(80, 400, "month"), (100, 500, "month")]
    assert all(each["name"] == "ann" and each["renews"] for each in told.webhook)
    log = next(held for name, held in told.places.items() if name.startswith("worker"))
    assert b"The monthly budget of the key ann is 80 % spent: 400 of 500 points" in log


async def test_usage_metrics_and_database_tell_the_same(told: Told) -> None:
    (row,) = told.usage["rows"]
    assert (row["key"], row["model"], row["requests"], row["failed"]) == ("ann", "Echo", 5, 0)
    assert row["account"].startswith("token-")
    assert row["points"] == AFFORDED * PRICE
    assert row["durationMean"] > 0

    with contextlib.closing(sqlite3.connect(told.database)) as connection:
        found = connection.execute(
            "SELECT key_name, key_group, sum(settled_points), count(*) FROM requests"
            " WHERE key_name = 'ann'"
        ).fetchall()
    assert found == [("ann", "lab", AFFORDED * PRICE, AFFORDED)]


@pytest.mark.parametrize("canary", [PROMPT, TOKEN, SECRET, "the key"])
async def test_nothing_that_tells_of_points_holds_a_secret_or_a_prompt(
    told: Told, canary: str
) -> None:
    hidden = (told.secret if canary == "the key" else canary).encode()

    assert [name for name, held in told.places.items() if hidden in held] == []
    assert all(b"ann" in told.places[name] for name in ("usage", "webhook", "ledger", "database"))
