"""The whole service on loopback, in a thread, for clients that block and those that do not."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from anyio.from_thread import start_blocking_portal

from simulated_poe import Model, Settings
from simulated_poe.record import Call, Record
from tests.support.deployment import KEY, PATIENCE, Deployment, eventually, running_redis

TOKENS = ",".join(f"sim-client-{number}" for number in range(8))
"""Enough for tests that make Poe refuse a few of them."""

ONE_AT_A_TIME = "sk-test-one-at-a-time"
"""An access token that may have one request under way."""

GENERAL = Model("General", "json", tools=True, endpoints=("/v1/chat/completions",))
"""A model that does both: it calls tools, and answers with the JSON that it is asked for."""

SCRIPTED = Model("Scripted", "script", tools=True)
"""A model that calls tools by the script in its question, over the bot protocol."""

BOT_AGENT = Model("Bot-Agent", "agent", tools=True)
"""A model that performs the steps in its question, over the bot protocol."""

CLAUDE_AGENT = Model("Claude-Agent", "agent", tools=True, endpoints=("/v1/messages",))
"""The same, over Anthropic's API."""

_WORKER = """
coolDown = 0.0
rateLimit = 500
maxInFlight = 50
"""
_MODELS = """
[models."Emulate"]
protocol = "bot"
toolEmulation = true
"""


@dataclass(frozen=True)
class Service:
    """A running one, as its clients see it."""

    url: str
    key: str
    record: Record
    """What the simulated Poe was asked; its thread writes it, so wait for what is in it."""

    @property
    def base_url(self) -> str:
        """What a user types into a client."""
        return f"{self.url}/v1"

    def http(self, **headers: str) -> httpx.Client:
        """A plain HTTP client."""
        return httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {self.key}"} | headers,
            timeout=PATIENCE,
            trust_env=False,
        )

    def calls(self, bot: str) -> list[Call]:
        """What the simulated Poe was asked of one bot, by its name in any case."""
        return [call for call in tuple(self.record.calls) if call.bot.lower() == bot.lower()]

    @property
    def asked(self) -> dict[str, Any]:
        """The latest body that a bot was asked with."""
        return self.record.bodies[-1]


def until(holds: Callable[[], Any], what: str) -> None:
    """Wait until `holds()` is true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come true within {PATIENCE:g} s"
        time.sleep(0.02)


@contextmanager
def running_service(
    gateway: str = "", worker: str = "", tokens: str = TOKENS, settings: Settings | None = None
) -> Iterator[Service]:
    """Start Redis, a simulated Poe, a gateway and a worker; the two configurations are TOML."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            _running_service(gateway, _WORKER + worker + _MODELS, tokens, settings)
        ) as service,
    ):
        yield service


@asynccontextmanager
async def _running_service(
    gateway: str, worker: str, tokens: str, settings: Settings | None
) -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory(prefix="p2g-") as directory:
        async with running_redis() as redis:
            deployment = Deployment(Path(directory), redis)
            try:
                poe = await deployment.start_poe(settings)
                poe.catalogue.add(GENERAL)
                poe.catalogue.add(SCRIPTED)
                poe.catalogue.add(BOT_AGENT)
                poe.catalogue.add(CLAUDE_AGENT)
                await deployment.start_worker(config=worker, tokens=tokens)
                running = await deployment.start_gateway(config=gateway)
                async with running.http() as http:
                    await eventually(lambda: _lists_models(http), "the catalogue")
                yield Service(running.url, KEY, poe.record)
            finally:
                await deployment.close()


async def _lists_models(http: httpx.AsyncClient) -> bool:
    return bool((await http.get("/v1/models")).json()["data"])
