"""The admin service as aiohttp serves it: routes, the login, and errors."""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from admin.config import AdminConfig, digest_of
from admin.keys import KeysAPI, Refusal, object_of
from contract.keys import Keys
from store.faults import RedisFault
from store.link import Link
from store.stored_keys import StoredKeys

_log = logging.getLogger("admin")

TIMEOUT = 2.0
"""Seconds that Redis has to answer."""

MAX_BODY = 64 * 1024
"""Bytes of a request's body."""

NO_TIME = "0"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(config: AdminConfig) -> web.Application:
    """Return the service. It connects to Redis when it is asked for the first time."""
    link = Link(config.redis_url, Keys(config.key_prefix), timeout=TIMEOUT)
    api = KeysAPI(StoredKeys(partial(link.run, now=NO_TIME)))

    async def until_closed(_: web.Application) -> AsyncIterator[None]:
        yield
        await link.aclose()

    app = web.Application(middlewares=[errors, login(config)], client_max_size=MAX_BODY)
    app.cleanup_ctx.append(until_closed)
    app.add_routes([web.get("/healthz", _healthz), *_routes_of_keys(api)])
    return app


def _routes_of_keys(api: KeysAPI) -> list[web.RouteDef]:
    async def list_(_: web.Request) -> web.Response:
        return _json(await api.list())

    async def add(request: web.Request) -> web.Response:
        return _json(await api.add(object_of(await request.read())), 201)

    async def change(request: web.Request) -> web.Response:
        body = object_of(await request.read())
        return _json(await api.change(request.match_info["key"], body))

    async def rotate(request: web.Request) -> web.Response:
        body = object_of(await request.read())
        return _json(await api.rotate(request.match_info["key"], body))

    def of_key(call: Callable[[str], Awaitable[dict[str, Any]]]) -> _Handler:
        async def answer(request: web.Request) -> web.Response:
            return _json(await call(request.match_info["key"]))

        return answer

    key = "/api/keys/{key}"
    return [
        web.get("/api/keys", list_),
        web.post("/api/keys", add),
        web.get(key, of_key(api.show)),
        web.patch(key, change),
        web.delete(key, of_key(api.remove)),
        web.post(f"{key}/rotate", rotate),
        web.post(f"{key}/disable", of_key(api.disable)),
        web.post(f"{key}/enable", of_key(api.enable)),
    ]


def login(config: AdminConfig) -> Any:
    """Return what refuses all requests without the login token, but for the probe.

    The token comes in a header that no web page of another site can set, and no cookie is used.
    """

    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = digest_of(token.strip()) if scheme.lower() == "bearer" else ""
        is_known = bool(config.admin_token) and hmac.compare_digest(given, config.admin_token)
        if request.path != "/healthz" and not is_known:
            raise Refusal(401, "Send the login token as `Authorization: Bearer <adminToken>`.")
        return await handler(request)

    return check


@web.middleware
async def errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer every error in JSON."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return _error(refusal.status, str(refusal))
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except RedisFault as fault:
        _log.warning("Redis: %r", fault)
        return _error(503, "Redis does not answer at the moment. Try again.")
    except Exception:
        _log.exception("a request failed by our own fault")
        return _error(500, "The server had an error while processing your request.")


async def _healthz(_: web.Request) -> web.Response:
    return _json({"status": "ok"})


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(value),
        status=status,
        content_type="application/json",
        # A secret may be in it.
        headers={"Cache-Control": "no-store"},
    )


def _error(status: int, message: str) -> web.Response:
    return _json({"error": {"message": message}}, status)
