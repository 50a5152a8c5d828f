"""The admin service as aiohttp serves it: its routes, and what every answer has."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from admin import api
from admin.config import AdminConfig
from admin.door import API, Door, Handler
from admin.groups import GroupsAPI
from admin.keys import KeysAPI
from admin.pages import STATIC, Pages, moved
from admin.refusal import Refusal
from admin.screens import SCREENS, Services
from admin.watch import Watch
from contract.keys import Keys
from store.faults import RedisFault
from store.groups import Groups, UnknownGroup
from store.link import Link
from store.stored_keys import StoredKeys, UnknownKey

_log = logging.getLogger("admin")

TIMEOUT = 2.0
"""Seconds that Redis has to answer."""

MAX_BODY = 1024 * 1024
"""Bytes of a request's body: a key may have 1,000 models, and its form has them twice."""

NO_TIME = "0"

_GONE = (UnknownKey, UnknownGroup)
"""Raised where somebody else removes what a page is about to change."""
_NOT_THERE = 404, "It was removed meanwhile."

_UNREADABLE = (HttpProcessingError, web.RequestPayloadError)
_NOT_READ = 400, "The body cannot be read."

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: under that, browsers say nothing of a form's origin either.
    "Referrer-Policy": "same-origin",
}
"""What every answer has."""


def application(config: AdminConfig) -> web.Application:
    """Return the service. It connects to Redis when it is asked for the first time."""
    link = Link(config.redis_url, Keys(config.key_prefix), timeout=TIMEOUT)
    run = partial(link.run, now=NO_TIME)
    pages = Pages([screen.place for screen in SCREENS])
    door = Door(config, pages)
    services = Services(config, pages, run, Watch(run))

    async def until_closed(_: web.Application) -> AsyncIterator[None]:
        yield
        await link.aclose()

    app = web.Application(middlewares=[errors(pages), door.middleware], client_max_size=MAX_BODY)
    app.cleanup_ctx.append(until_closed)
    app.on_response_prepare.append(_add_headers)
    app.router.add_static("/static", STATIC)
    app.add_routes([web.get("/healthz", _healthz), web.get("/", _first), *door.routes()])
    app.add_routes(api.routes_of_keys(KeysAPI(StoredKeys(run))))
    app.add_routes(api.routes_of_groups(GroupsAPI(Groups(run))))
    for screen in SCREENS:
        app.add_routes(screen.routes(services))
    return app


def errors(pages: Pages) -> Any:
    """Return what answers every error: in JSON for the API, and with a page for people."""

    def answer(request: web.Request, status: int, message: str) -> web.Response:
        if request.path.startswith(API):
            return api.error(status, message)
        return pages.render(request, "error.html", status=status, number=status)

    @web.middleware
    async def catch(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return answer(request, refusal.status, str(refusal))
        except (*_GONE, *_UNREADABLE) as fault:
            return answer(request, *(_NOT_THERE if isinstance(fault, _GONE) else _NOT_READ))
        except web.HTTPException as error:
            return answer(request, error.status, error.reason)
        except RedisFault as fault:
            _log.warning("Redis: %r", fault)
            return answer(request, 503, "Redis does not answer at the moment. Try again.")
        except Exception:
            _log.exception("a request failed by our own fault")
            return answer(request, 500, "The server had an error while processing your request.")

    return catch


async def _add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(HEADERS)
    # Pages and answers may hold a secret; what is below /static is checked for being the latest.
    is_public = request.path.startswith("/static/")
    answer.headers.setdefault("Cache-Control", "no-cache" if is_public else "no-store")


async def _healthz(_: web.Request) -> web.Response:
    return api.answer({"status": "ok"})


async def _first(_: web.Request) -> web.Response:
    return moved(SCREENS[0].place.path)
