"""The screen *try*: a question to a model, asked through a gateway as any client asks it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from admin.own_key import DAY_BUDGET, NAME, OwnKey
from admin.pages import Place, language_of
from admin.refusal import Refusal
from admin.screens.screen import Screen, Services
from admin.texts import text
from admin.trial import Question, Reading, cost, failure, refused
from contract.calls.catalogue import Listing, ReadCatalogue
from store.faults import RedisFault

_log = logging.getLogger("admin")

PLACE = Place("try", "/try")

CONNECT_TIMEOUT = 5.0
"""Seconds that connecting to the gateway may take. An answer may take any time."""

_PROBE = 1.0
"""Seconds that a gateway has to say whether it wants a key."""

_LOOK = 0.1
"""Seconds between two looks whether the page is still there."""

_ESTIMATE = "x-points-estimate"
"""The header in which the gateway says what the question may cost."""

_REFUSAL = 64 * 1024
"""Bytes of a refusal that are read."""


def routes(services: Services) -> list[web.RouteDef]:
    key, models = OwnKey(services.run), _Models(services)

    async def page(request: web.Request) -> web.Response:
        return services.pages.render(
            request,
            "try.html",
            models=await models.read(),
            has_keys=await key.may_be_made() or await _wants_key(services.config.gateway_url),
            own_name=NAME,
            own_budget=DAY_BUDGET,
        )

    async def ask(request: web.Request) -> web.StreamResponse:
        try:
            question = msgspec.json.decode(await request.read(), type=Question)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refusal(400, f"This is no question: {error}") from None
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        # It is to be seen as it comes, also behind nginx.
        answer.headers["X-Accel-Buffering"] = "no"
        await answer.prepare(request)
        asking = asyncio.create_task(_tell(services, key, question, request, answer))
        leaving = asyncio.create_task(_has_left(request))
        try:
            await asyncio.wait((asking, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The connection to the gateway goes with the task, so the gateway cancels the answer.
            for task in (asking, leaving):
                task.cancel()
            outcomes = await asyncio.gather(asking, leaving, return_exceptions=True)
        if isinstance(fault := outcomes[0], Exception):
            _log.error("a question failed by our own fault", exc_info=fault)
        return answer

    return [web.get(PLACE.path, page), web.post(f"{PLACE.path}/ask", ask)]


SCREEN = Screen(PLACE, routes)


class _Models:
    """The catalogue, read again when there is another one."""

    def __init__(self, services: Services) -> None:
        self._run = services.run
        self._last = Listing(b"-", None, is_new=False)

    async def read(self) -> list[Any]:
        found = await self._run(ReadCatalogue(self._last.version))
        if found.is_new:
            self._last = found
        catalogue = self._last.catalogue
        return sorted(catalogue.models, key=lambda each: each.id.lower()) if catalogue else []


async def _wants_key(url: str) -> bool:
    """Return whether the gateway says that it wants a key."""
    timeout = aiohttp.ClientTimeout(total=_PROBE)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{url}/v1/models", allow_redirects=False) as response,
        ):
            return response.status == 401
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _has_left(request: web.Request) -> None:
    # aiohttp tells it by cancelling all handlers, and those that change something must not be.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)


async def _tell(
    services: Services,
    key: OwnKey,
    question: Question,
    request: web.Request,
    answer: web.StreamResponse,
) -> None:
    language = language_of(request)
    try:
        async with aclosing(_told(services, key, question, language)) as told:
            async for each in told:
                await answer.write(json.dumps(each).encode() + b"\n")
    except ConnectionResetError:
        return  # the page has left
    except RedisFault:
        failed = failure({"message": text(language, "error.503")}, 503)
        await answer.write(json.dumps(failed).encode() + b"\n")


async def _told(
    services: Services, key: OwnKey, question: Question, language: str
) -> AsyncGenerator[dict[str, Any], None]:
    """Ask the gateway, and yield what the page is told. Raises RedisFault."""
    secret = await key.secret() if question.own else question.secret
    reading, url = Reading(), services.config.gateway_url
    try:
        async with aclosing(_asked(url, secret, question, reading)) as events:
            async for event in events:
                yield event
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        yield failure({"message": text(language, "try.unreachable", url=url)})
    except (aiohttp.ClientError, ValueError, TimeoutError):
        yield failure({"message": text(language, "try.broken")})
    # The answer is there; only what it cost is not known, if Redis fails now.
    with suppress(*RedisFault):
        if reading.job and (record := await services.watch.record_of(reading.job)):
            yield cost(record)


async def _asked(
    url: str, secret: str, question: Question, reading: Reading
) -> AsyncGenerator[dict[str, Any], None]:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(
            f"{url}/v1/chat/completions",
            json=question.body(),
            headers=headers,
            allow_redirects=False,
        ) as response,
    ):
        if (points := response.headers.get(_ESTIMATE, "")).isdecimal():
            yield {"kind": "estimate", "points": int(points[:20])}
        if response.status != 200:
            yield refused(response.status, await response.content.read(_REFUSAL))
            return
        async for piece in response.content.iter_any():
            for event in reading.feed(piece):
                yield event
