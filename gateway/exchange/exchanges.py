"""All requests for answers that are under way at one gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gateway.config import AccessToken
from gateway.dialect import Ask, Dialect, Endpoint, Inquiry, Posted
from gateway.exchange import admission
from gateway.exchange.blobs import Blobs
from gateway.exchange.bodies import Bodies
from gateway.exchange.exchange import Exchange
from gateway.exchange.outcome import Outcome
from gateway.exchange.services import Services
from gateway.http import Request
from gateway.problems import unsupported_encoding


class Exchanges:
    """Begins exchanges, keeps their time, and passes on how each of them ended."""

    def __init__(self, services: Services, on_end: Callable[[Outcome], None]) -> None:
        self._services = services
        self._on_end = on_end
        self._max_body = services.config.max_body * admission.MIB
        self._bodies = Bodies(self._max_body)
        self._exchanges: set[Exchange] = set()

    @property
    def active(self) -> int:
        """Accepted requests that are not answered yet."""
        return len(self._exchanges)

    async def answer(
        self, dialect: Dialect, endpoint: Endpoint[Any], request: Request, client: AccessToken
    ) -> None:
        """Answer one request. Raises Problem before anything was sent."""
        ask, blobs = await self._parsed(endpoint, request, client)
        exchange = Exchange(
            self._services,
            dialect,
            endpoint,
            request=request,
            client=client,
            ask=ask,
            blobs=blobs,
        )
        del blobs
        await exchange.claim()
        self._exchanges.add(exchange)
        try:
            await exchange.run()
        finally:
            self._exchanges.discard(exchange)
            outcome = exchange.outcome()
            outcome.log()
            self._on_end(outcome)

    async def tell(self, inquiry: Inquiry[Any], request: Request, client: AccessToken) -> None:
        """Answer a request from its body alone. Raises Problem."""
        ask, _ = await self._parsed(inquiry, request, client)
        reply = inquiry.reply(ask)
        request.respond(reply.status, reply.body, headers=reply.headers)

    def tick(self) -> None:
        """Keep idle streams open, and end what is hopeless."""
        now, hopeless = time.monotonic(), admission.hopeless(self._services.fleet.last)
        for exchange in list(self._exchanges):
            exchange.tick(now, hopeless)

    def interrupt(self) -> None:
        """End every answer that is still under way: the process has to stop."""
        for exchange in list(self._exchanges):
            exchange.interrupt()

    async def _parsed(
        self, posted: Posted[Any], request: Request, client: AccessToken
    ) -> tuple[Ask, Blobs]:
        if encoding := request.header("content-encoding").replace("identity", ""):
            raise unsupported_encoding(encoding)
        body = await request.body(self._max_body)
        return await self._bodies.parse(posted, body, client.client)

    async def close(self) -> None:
        """End the child processes."""
        await self._bodies.close()
