"""The gateway as Granian calls it: routes, and the error boundary."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from gateway.auth import authenticate, digest_of, key_of
from gateway.config import AccessToken, GatewayConfig
from gateway.doors import is_loopback, refused_host, refused_origin
from gateway.exchange.exchange import CHAT, COMPLETIONS, IMAGES, Chat, Route
from gateway.guesses import Guesses
from gateway.http import HTTPProtocol, Request, model_in, route_of
from gateway.hub import Hub, within
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.models import ModelTable
from gateway.openai.errors import (
    ApiError,
    foreign_host,
    foreign_origin,
    internal_error,
    method_not_allowed,
    too_many_wrong_keys,
    unknown_route,
)
from gateway.queue.fleet import Fleet, StartRate
from gateway.uploads import Uploads
from runtime import tasks
from store.faults import RedisFault

_log = logging.getLogger("gateway")

TICK = 1.0
"""Seconds between two looks around."""

LOOK_TIMEOUT = 3.0
"""Seconds that one look may take."""

READY_FOR = 3.0
"""Seconds for which a look around says that this gateway is ready."""

KEY_CHECK = "/_key"
"""Where nginx asks about a request's key, before it reads the body: 204, 401 or 429."""

PROBES = ("/healthz", "/readyz")
"""What anyone may ask, from anywhere."""

_Handler = Callable[[Request], Awaitable[None]]


class App:
    """One gateway process."""

    def __init__(self, config: GatewayConfig, hub: Hub, version: str) -> None:
        self._config = config
        self._hub = hub
        self._version = version
        self._draining = False
        self._fleet = Fleet(at=0.0)
        self._created = int(time.time())
        self._guesses = Guesses()
        self._trusted = tuple(ipaddress.ip_network(each) for each in config.trusted_proxies)
        self._uploads = Uploads(config.max_body * 1024 * 1024)
        self.rate = StartRate()
        self.metrics = Metrics(hub.gateway)
        self.models = self._model_table()
        self._chat = Chat(self, config, hub)
        self._routes: dict[str, dict[str, _Handler]] = {
            "/": {"GET": self._welcome},
            "/models": {"GET": self._list_models},
            "/chat/completions": {"POST": self._answering(CHAT)},
            "/completions": {"POST": self._answering(COMPLETIONS)},
            "/images/generations": {"POST": self._answering(IMAGES)},
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
            "/metrics": {"GET": self._metrics},
            KEY_CHECK: {"GET": self._check_key},
        }

    @property
    def fleet(self) -> Fleet:
        """The last look at everyone else."""
        return self._fleet

    @property
    def active(self) -> int:
        """Accepted requests that are not answered yet."""
        return self._chat.active

    def drain(self) -> None:
        """Tell load balancers to send nothing more."""
        self._draining = True

    def interrupt(self) -> None:
        """End what is still under way with an error."""
        self._chat.interrupt()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[set[asyncio.Task[None]]]:
        """Inside the block, requests can be answered, as long as none of the tasks ends."""
        async with self._hub.running() as subscription:
            ticking = asyncio.create_task(self._tick_for_ever())
            try:
                yield {subscription, ticking}
            finally:
                await tasks.end([ticking])
                await self._chat.close()

    async def __rsgi__(self, scope: Any, protocol: HTTPProtocol) -> None:
        """Answer one request."""
        request = Request(scope, protocol, self._uploads, self._trusted)
        try:
            await self._answer(request)
        except ApiError as error:
            request.respond_error(error)
        except Exception:
            _log.exception("a request failed by our own fault", extra={"request": request.id})
            request.respond_error(internal_error())
        finally:
            request.close()
            self.metrics.responses.labels(request.status).inc()

    async def _answer(self, request: Request) -> None:
        route = route_of(request.path)
        if not self._config.access_tokens and route not in PROBES:
            self._protect(request)
        if request.method == "OPTIONS":
            return request.preflight()
        methods = self._routes.get(route)
        # `/models/chat/completions` names no model: it is a base URL that ends in /models.
        if methods is None and (model := model_in(route)) and f"/{model}" not in self._routes:
            methods = {"GET": self._show_model}
        if methods is None:
            raise unknown_route(request.method, request.path)
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            raise method_not_allowed(request.method, ", ".join([*methods, "OPTIONS"]))
        return await methods[method](request)

    def _protect(self, request: Request) -> None:
        """Refuse what a web page may have sent. Raises ApiError (403)."""
        allowed, host = self._config.allowed_hosts, request.host
        exposed = not is_loopback(self._config.host)
        if refused_host(host, allowed, exposed=exposed):
            raise foreign_host()
        if refused_origin(request.header("origin"), host, allowed):
            raise foreign_origin()

    def authenticated(self, request: Request) -> AccessToken:
        """Return who asks. Raises ApiError (401, or 429 for an address that guesses)."""
        key = key_of(
            request.header("authorization"), request.header("x-api-key"), request.header("api-key")
        )
        tokens = self._config.access_tokens
        if not tokens or not key:
            # Who has none does not guess.
            return authenticate(key, tokens, time.time())
        return self._guessed(request.address, key)

    def _guessed(self, address: str, key: str) -> AccessToken:
        now, digest = time.monotonic(), digest_of(key)
        if wait := self._guesses.wait(address, digest, now):
            self._tell(address, "throttled", self._guesses.throttled(address, now))
            raise too_many_wrong_keys(wait)
        try:
            client = authenticate(key, self._config.access_tokens, time.time())
        except ApiError:
            self._tell(address, "wrong", self._guesses.wrong(address, now))
            raise
        self._guesses.accepted(address, digest)
        return client

    def _tell(self, address: str, verdict: str, count: int) -> None:
        self.metrics.refused_keys.labels(verdict).inc()
        if count:
            _log.warning("wrong keys", extra={"address": address, "count": count})

    def _answering(self, route: Route) -> _Handler:
        async def answer(request: Request) -> None:
            await self._chat.complete(route, request, self.authenticated(request))

        return answer

    async def _check_key(self, request: Request) -> None:
        try:
            self.authenticated(request)
        except ApiError as error:
            # nginx passes on no other status; Retry-After tells it that this is a 429.
            raise dataclasses.replace(error, status=401) from None
        request.respond(204)

    async def _list_models(self, request: Request) -> None:
        client = self.authenticated(request)
        request.respond(200, self.models.listing(client.models))

    async def _show_model(self, request: Request) -> None:
        client = self.authenticated(request)
        name = model_in(route_of(request.path)) or ""
        request.respond(200, self.models.one(name, client.models))

    async def _welcome(self, request: Request) -> None:
        welcome = {"service": "poe2gpt", "version": self._version, "base_url": "/v1"}
        request.respond(200, msgspec.json.encode(welcome))

    async def _healthz(self, request: Request) -> None:
        request.respond(200, b'{"status":"ok"}')

    async def _readyz(self, request: Request) -> None:
        # From the last look: anyone may ask, and as often as they like.
        takes_work = time.monotonic() - self._hub.took_work_at <= READY_FOR
        redis = takes_work and not self._draining
        workers = len(self._fleet.workers) if redis else 0
        status = {
            "status": "ok" if workers else "not ready",
            "redis": redis,
            "workers": workers,
            "draining": self._draining,
        }
        request.respond(200 if workers else 503, msgspec.json.encode(status))

    async def _metrics(self, request: Request) -> None:
        self.metrics.observe(self._fleet)
        request.respond(200, self.metrics.render(), CONTENT_TYPE)

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
        self._chat.tick(time.monotonic())
        # The heartbeat before all that may take long: who misses it counts as dead.
        self._see(await within(LOOK_TIMEOUT, self._hub.look()))
        with suppress(*RedisFault):
            await within(LOOK_TIMEOUT, self._hub.see_that_it_takes_work())
        await within(LOOK_TIMEOUT, self._hub.look_after_the_silent())

    def _see(self, fleet: Fleet) -> None:
        renewed = fleet.catalogue != self._fleet.catalogue
        self._fleet = fleet
        self.rate.observe(fleet)
        if renewed:
            self.models = self._model_table()

    def _model_table(self) -> ModelTable:
        config = self._config
        return ModelTable(config.bot, config.any_bot, self._fleet.catalogue, self._created)
