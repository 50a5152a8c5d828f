"""All requests for answers that are under way at one gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from contract.budgets import Budget, budgets_of
from contract.calls.kept import Turn
from gateway.config import AccessToken
from gateway.dialect import Archive, Ask, Dialect, Endpoint, Inquiry, Wanted
from gateway.exchange import admission
from gateway.exchange.blobs import Blobs
from gateway.exchange.bodies import Bodies
from gateway.exchange.conversation import Conversations
from gateway.exchange.exchange import Exchange
from gateway.exchange.kept import KeptAnswers
from gateway.exchange.outcome import Outcome
from gateway.exchange.services import Services
from gateway.http import Request
from gateway.queue.faults import no_queue
from store.faults import RedisFault


class Exchanges:
    """Begins exchanges, keeps their time, and passes on how each of them ended."""

    def __init__(self, services: Services, on_end: Callable[[Outcome], None]) -> None:
        self._services = services
        self._on_end = on_end
        self._max_body = services.config.max_body * admission.MIB
        self._bodies = Bodies(self._max_body)
        self._exchanges: set[Exchange] = set()
        self._answers = KeptAnswers(services)
        self._conversations = Conversations(services, self._answers)

    @property
    def active(self) -> int:
        """Accepted requests that are not answered yet."""
        return len(self._exchanges)

    async def answer(
        self, dialect: Dialect, endpoint: Endpoint[Any], request: Request, client: AccessToken
    ) -> None:
        """Answer one request. Raises Problem before anything was sent."""
        ask, blobs = await self._asked(endpoint, request, client)
        models = self._services.models
        ask = ask.shown_for(models.listed(models.resolve(ask.model, client.models)))
        exchange = Exchange(
            self._services,
            dialect,
            endpoint,
            request=request,
            client=client,
            ask=ask,
            blobs=blobs,
            budgets=await self._budgets(client),
            answers=self._answers,
        )
        del blobs
        await self._run(exchange)

    async def _budgets(self, client: AccessToken) -> tuple[Budget, ...]:
        """Return the budgets in which a request of this client counts now. Raises Problem."""
        now, own = time.time(), (client.client, client.name, client)
        if not client.group:
            return budgets_of("key", *own, now)
        try:
            group = await self._services.hub.groups.find(client.group)
        except (*RedisFault, msgspec.DecodeError) as fault:
            raise no_queue(fault) from None
        if group is None:
            return budgets_of("key", *own, now)
        shared = budgets_of("group", group.name, group.name, group, now)
        return budgets_of("key", *own, now) + shared

    async def consult(
        self,
        dialect: Dialect,
        endpoint: Endpoint[Any],
        archive: Archive[Any],
        *,
        request: Request,
        rest: str,
        client: AccessToken,
    ) -> None:
        """Answer a request about a kept answer. Raises Problem before anything was sent."""
        # The head of a stream would be that of a body which never ends.
        is_head = request.method == "HEAD"
        method, query = ("GET", "") if is_head else (request.method, request.query)
        wanted = archive.wanted(method, rest, query)
        try:
            if wanted.action != "stream":
                body = await self._told(endpoint, archive, wanted, query, client)
                return request.respond(200, body)
            kept = await self._answers.find(endpoint, wanted, client)
        except RedisFault as fault:
            raise no_queue(fault) from None
        exchange = Exchange(
            self._services,
            dialect,
            endpoint,
            request=request,
            client=client,
            ask=kept.ask,
            answers=self._answers,
            rejoined=kept,
            skip=wanted.after + 1,
        )
        return await self._run(exchange)

    async def _told(
        self,
        endpoint: Endpoint[Any],
        archive: Archive[Any],
        wanted: Wanted,
        query: str,
        client: AccessToken,
    ) -> bytes:
        if wanted.action == "delete":
            return await self._answers.delete(archive, wanted, client)
        if wanted.action == "cancel":
            await self._answers.stop(wanted, client)
        kept = await self._answers.find(endpoint, wanted, client)
        if wanted.action != "list":
            return await self._answers.show(archive, kept)
        before: tuple[Turn, ...] = ()
        if kept.found.previous:
            before = await self._conversations.turns(endpoint, archive, kept.found.previous, client)
        return archive.list((*before, Turn(wanted.job, kept.found.input, b"")), query)

    async def _run(self, exchange: Exchange) -> None:
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
        body = await request.body(self._max_body)
        ask, _ = await self._bodies.parse(inquiry, body, client.client)
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

    async def _asked(
        self, endpoint: Endpoint[Any], request: Request, client: AccessToken
    ) -> tuple[Ask, Blobs]:
        body, archive = await request.body(self._max_body), endpoint.archive
        ask, blobs = await self._bodies.parse(endpoint, body, client.client)
        if not ask.previous or archive is None:
            return ask, blobs
        try:
            turns = await self._conversations.turns(
                endpoint, archive, ask.previous, client, continued=True
            )
        except RedisFault as fault:
            raise no_queue(fault) from None
        earlier = [part for turn in turns for part in (turn.input, turn.output)]
        return await self._bodies.parse_after(endpoint, archive, body, earlier, client.client)

    async def close(self) -> None:
        """End the child processes."""
        await self._bodies.close()
