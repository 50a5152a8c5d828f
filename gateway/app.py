"""The gateway as Granian calls it: routes, and the error boundary."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from contract.config import merged
from gateway.access import Access
from gateway.anthropic.dialect import ANTHROPIC
from gateway.config import FIXED, GatewayConfig
from gateway.dialect import Archive, Dialect, Endpoint, Inquiry, Page
from gateway.doors import refused_origin
from gateway.exchange import points
from gateway.exchange.backpressure import Backpressure
from gateway.exchange.exchanges import Exchanges
from gateway.exchange.services import Services
from gateway.http import HTTPProtocol, Request
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.models import ModelTable
from gateway.openai.dialect import OPENAI
from gateway.problems import (
    Kind,
    Problem,
    foreign_host,
    foreign_origin,
    internal_error,
    method_not_allowed,
    unknown_path,
)
from gateway.queue.fleet import Fleet, FleetView
from gateway.queue.hub import Hub
from gateway.queue.server import within
from gateway.queue.spending import Spending
from gateway.queue.stored_keys import StoredKeys
from gateway.responses.dialect import RESPONSES
from gateway.routes import Routes, route_of
from gateway.uploads import Uploads
from runtime import tasks
from runtime.hosts import is_loopback, refused_host
from store.faults import RedisFault

_log = logging.getLogger("gateway")

DIALECTS: tuple[Dialect, ...] = (OPENAI, RESPONSES, ANTHROPIC)
"""The APIs that clients may speak. The first words what goes wrong where none is meant."""

TICK = 1.0
"""Seconds between two looks around."""

LOOK_TIMEOUT = 3.0
"""Seconds that one look may take."""

READY_FOR = 3.0
"""Seconds for which a look around says that this gateway is ready."""

KEY_CHECK = "/_key"
"""Where nginx asks about a request's key before it reads the body: 204, 401 or 429."""

PROBES = ("/healthz", "/readyz")
"""Paths that anyone may ask, from anywhere."""

_Handler = Callable[[Request, str], Awaitable[None]]
"""Answers a request, given the rest of its path below the route."""


class App:
    """One gateway process."""

    def __init__(self, config: GatewayConfig, hub: Hub, version: str) -> None:
        self._config = config
        self._hub = hub
        self._version = version
        self._draining = False
        self._trusted = tuple(ipaddress.ip_network(each) for each in config.trusted_proxies)
        self._uploads = Uploads(config.max_body * 1024 * 1024)
        self._fleet = FleetView()
        self._models = ModelTable(config.bot, config.any_bot, None, int(time.time()))
        self._metrics = Metrics(hub.gateway)
        self._spending = Spending(hub.server, self._metrics.spend)
        self._access = Access(config, StoredKeys(hub.server), self._metrics.refuse_key)
        backpressure = Backpressure(config.port)
        self._services = Services(config, hub, self._fleet, self._models, backpressure)
        self._exchanges = Exchanges(self._services, self._metrics.count)
        self._metrics.active.set_function(lambda: self._exchanges.active)
        self._metrics.incomplete_bodies.set_function(lambda: self._uploads.total)
        self._routes = self._all_routes()

    @property
    def active(self) -> int:
        """Accepted requests that are not answered yet."""
        return self._exchanges.active

    def configure(self, config: GatewayConfig) -> None:
        """Take other settings, but for those that need a restart.

        Raises ValueError for such as would let everyone in.
        """
        config, unchanged = merged(self._config, config, FIXED)
        self._access.configure(config)
        self._config = self._services.config = config
        self._models.configure(config.bot, config.any_bot)
        _log.info("new settings", extra={"needs_restart": ", ".join(unchanged) or None})

    def drain(self) -> None:
        """Tell load balancers to send nothing more."""
        self._draining = True

    def interrupt(self) -> None:
        """End what is still under way with an error."""
        self._exchanges.interrupt()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[set[asyncio.Task[None]]]:
        """Inside the block, requests can be answered, as long as none of these tasks ends."""
        async with self._hub.running() as subscription:
            ticking = asyncio.create_task(self._tick_for_ever())
            try:
                yield {subscription, ticking}
            finally:
                await tasks.end([ticking])
                await self._exchanges.close()

    async def __rsgi__(self, scope: Any, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        request = Request(scope, protocol, self._uploads, self._trusted)
        dialect = self._routes.dialect_of(route_of(request.path), request.header)
        request.exposed = (*dialect.exposed, *points.EXPOSED)
        request.headers += dialect.headers(request.id)
        try:
            await self._answer(request)
        except Problem as problem:
            _refuse(request, dialect, problem)
        except Exception:
            _log.exception("a request failed by our own fault", extra={"request": request.id})
            if not request.is_streaming:
                _refuse(request, dialect, internal_error())
        finally:
            request.close()
            self._metrics.count_response(request.status)

    def _all_routes(self) -> Routes[_Handler]:
        routes: Routes[_Handler] = Routes(DIALECTS)
        routes.add("GET", "/", self._welcome)
        routes.add("GET", "/healthz", self._healthz)
        routes.add("GET", "/readyz", self._readyz)
        routes.add("GET", "/metrics", self._prometheus)
        routes.add("GET", KEY_CHECK, self._check_key)
        for dialect in DIALECTS:
            for endpoint in dialect.endpoints:
                routes.add("POST", endpoint.path, self._answering(dialect, endpoint), dialect)
                if endpoint.archive is not None:
                    consult = self._consulting(dialect, endpoint, endpoint.archive)
                    for method in ("GET", "POST", "DELETE"):
                        routes.add(method, endpoint.archive.path, consult, dialect)
            for inquiry in dialect.inquiries:
                routes.add("POST", inquiry.path, self._telling(inquiry), dialect)
            for page in dialect.pages:
                routes.add("GET", page.path, self._showing(page), dialect)
        return routes

    async def _answer(self, request: Request) -> None:
        path = route_of(request.path)
        if not self._config.needs_key and path not in PROBES:
            self._protect(request)
        if request.method == "OPTIONS":
            return request.preflight()
        route, rest = self._routes.find(path, request.header)
        if route is None:
            raise unknown_path(request.method, request.path)
        method = "GET" if request.method == "HEAD" else request.method
        if method not in route.handlers:
            raise method_not_allowed(request.method, route.allow)
        return await route.handlers[method](request, rest)

    def _protect(self, request: Request) -> None:
        """Refuse what a web page may have sent. Raises Problem."""
        allowed, host = self._config.allowed_hosts, request.host
        exposed = not is_loopback(self._config.host)
        if refused_host(host, allowed, exposed=exposed):
            raise foreign_host()
        if refused_origin(request.header("origin"), host, allowed):
            raise foreign_origin()

    def _answering(self, dialect: Dialect, endpoint: Endpoint[Any]) -> _Handler:
        async def answer(request: Request, _: str) -> None:
            client = await self._access.client(request)
            await self._exchanges.answer(dialect, endpoint, request, client)

        return answer

    def _consulting(
        self, dialect: Dialect, endpoint: Endpoint[Any], archive: Archive[Any]
    ) -> _Handler:
        async def consult(request: Request, rest: str) -> None:
            client = await self._access.client(request)
            await self._exchanges.consult(
                dialect, endpoint, archive, request=request, rest=rest, client=client
            )

        return consult

    def _telling(self, inquiry: Inquiry[Any]) -> _Handler:
        async def tell(request: Request, _: str) -> None:
            client = await self._access.client(request)
            await self._exchanges.tell(inquiry, request, client)

        return tell

    def _showing(self, page: Page) -> _Handler:
        async def show(request: Request, rest: str) -> None:
            allowed = () if page.is_open else (await self._access.client(request)).models
            request.respond(200, page.render(self._models, allowed, rest, request.query))

        return show

    async def _check_key(self, request: Request, _: str) -> None:
        try:
            await self._access.client(request)
        except Problem as problem:
            reply = DIALECTS[0].error(problem, request.id)
            # nginx passes on no refusal but a 401; by Retry-After it knows a 429. Any other status
            # leaves the decision to the request itself.
            status = reply.status if problem.kind is Kind.UNAVAILABLE else 401
            return request.respond(status, reply.body, headers=reply.headers)
        return request.respond(204)

    async def _welcome(self, request: Request, _: str) -> None:
        welcome = {"service": "poe2gpt", "version": self._version, "base_url": "/v1"}
        request.respond(200, msgspec.json.encode(welcome))

    async def _healthz(self, request: Request, _: str) -> None:
        request.respond(200, b'{"status":"ok"}')

    async def _readyz(self, request: Request, _: str) -> None:
        # From the last look: anyone may ask, and as often as they like.
        takes_work = time.monotonic() - self._hub.server.wrote_at <= READY_FOR
        redis = takes_work and not self._draining
        workers = len(self._fleet.last.workers) if redis else 0
        status = {
            "status": "ok" if workers else "not ready",
            "redis": redis,
            "workers": workers,
            "draining": self._draining,
        }
        request.respond(200 if workers else 503, msgspec.json.encode(status))

    async def _prometheus(self, request: Request, _: str) -> None:
        self._metrics.observe(self._fleet.last)
        request.respond(200, self._metrics.render(), CONTENT_TYPE)

    async def _tick_for_ever(self) -> None:
        while True:
            try:
                await self._tick()
            except RedisFault as fault:
                _log.warning("Redis: %r", fault)
            except Exception:
                # A gateway that has stopped looking around would fail everyone in silence.
                _log.exception("a look around failed by our own fault")
            await asyncio.sleep(TICK)

    async def _tick(self) -> None:
        # First, and within bounds: streams must be kept alive whatever becomes of Redis.
        self._exchanges.tick()
        # The heartbeat before all that may take long: who misses it counts as dead.
        ledger_life = self._config.ledger_life * 86_400
        look = self._hub.survey.look(ledger_life=ledger_life)
        self._see(await within(LOOK_TIMEOUT, look))
        if self._fleet.is_vacant:
            await within(LOOK_TIMEOUT, self._hub.survey.reclaim())
        with suppress(*RedisFault):
            await within(LOOK_TIMEOUT, self._hub.probe_writes())
        await within(LOOK_TIMEOUT, self._hub.check_silent_jobs())
        await within(LOOK_TIMEOUT, self._spending.look())

    def _see(self, fleet: Fleet) -> None:
        if fleet.catalogue != self._fleet.last.catalogue:
            self._models.renew(fleet.catalogue)
        self._fleet.see(fleet)


def _refuse(request: Request, dialect: Dialect, problem: Problem) -> None:
    reply = dialect.error(problem, request.id)
    request.respond(reply.status, reply.body, headers=reply.headers)
