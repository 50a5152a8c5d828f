"""Replaces processes one by one while clients send requests without a pause."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Sequence

import httpx

from tests.support.clients import Told, ask
from tests.support.deployment import (
    KEY,
    PATIENCE,
    Child,
    Deployment,
    Gateway,
    eventually,
)

PAUSE = 0.1
"""Seconds between two requests of a load."""

_CONFIG = "coolDown = 0\nrateLimit = 1000\n"


class Fleet:
    """Two gateways and two workers."""

    def __init__(self, deployment: Deployment) -> None:
        self.gateways: list[Gateway] = []
        self.statuses: list[int] = []
        """The exit statuses of the replaced processes."""
        self._deployment = deployment
        self._workers: list[Child] = []

    async def start(self) -> None:
        """Start them all."""
        self._workers = [await self._start_worker() for _ in range(2)]
        self.gateways = [await self._deployment.start_gateway() for _ in range(2)]
        await eventually(lambda: self._live(2), "both workers")

    async def restart_one_by_one(self) -> None:
        """Stop each process and start a replacement, as operators do."""
        for worker in list(self._workers):
            await self._stop(worker)
            await self._start_worker()
            await eventually(lambda: self._live(2), "both workers")
        for gateway in list(self.gateways):
            await self._stop(gateway.child)
            await self._deployment.start_gateway(port=gateway.port)

    async def _start_worker(self) -> Child:
        return await self._deployment.start_worker(config=_CONFIG, tokens="sim-a,sim-b,sim-c")

    async def _stop(self, child: Child) -> None:
        child.send(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            self.statuses.append(await child.process.wait())

    async def _live(self, workers: int) -> bool:
        async with self.gateways[0].http(None) as http:
            return bool((await http.get("/readyz")).json()["workers"] == workers)


class Load:
    """Sends a request every `PAUSE` seconds, to these URLs in turn.

    If a connection is refused, the next URL is tried, as nginx does with its gateways.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = itertools.cycle(urls)
        self._places = len(urls)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Send no more requests."""
        self._stopped.set()

    async def run(self, text: str = "10 every 50ms") -> list[Told]:
        """Send requests until stopped; return the result of each."""
        asked = []
        headers = {"authorization": f"Bearer {KEY}"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(
            headers=headers, timeout=PATIENCE, trust_env=False, limits=limits
        ) as http:
            for number in itertools.count():
                if self._stopped.is_set():
                    break
                asked.append(asyncio.create_task(self._ask(http, text, number % 2 == 0)))
                await asyncio.sleep(PAUSE)
            return await asyncio.gather(*asked)

    async def _ask(self, http: httpx.AsyncClient, text: str, stream: bool) -> Told:
        for url in itertools.islice(self._urls, 2 * self._places):
            try:
                return await ask(http, "Count", text, stream=stream, at=url)
            except httpx.ConnectError:
                continue
        raise AssertionError("every gateway refused the connection")
