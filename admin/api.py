"""The API for keys and groups over HTTP: JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from admin.door import API, Handler
from admin.groups import GroupsAPI
from admin.keys import KeysAPI, object_of

_KEYS = f"{API}keys"
_GROUPS = f"{API}groups"


def routes_of_keys(api: KeysAPI) -> list[web.RouteDef]:
    """Return the routes of the API for keys."""

    async def list_(_: web.Request) -> web.Response:
        return answer(await api.list())

    async def add(request: web.Request) -> web.Response:
        return answer(await api.add(object_of(await request.read())), 201)

    async def change(request: web.Request) -> web.Response:
        body = object_of(await request.read())
        return answer(await api.change(request.match_info["key"], body))

    async def rotate(request: web.Request) -> web.Response:
        body = object_of(await request.read())
        return answer(await api.rotate(request.match_info["key"], body))

    def of_key(call: Callable[[str], Awaitable[dict[str, Any]]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            return answer(await call(request.match_info["key"]))

        return handle

    key = f"{_KEYS}/{{key}}"
    return [
        web.get(_KEYS, list_),
        web.post(_KEYS, add),
        web.get(key, of_key(api.show)),
        web.patch(key, change),
        web.delete(key, of_key(api.remove)),
        web.post(f"{key}/rotate", rotate),
        web.post(f"{key}/disable", of_key(api.disable)),
        web.post(f"{key}/enable", of_key(api.enable)),
    ]


def routes_of_groups(api: GroupsAPI) -> list[web.RouteDef]:
    """Return the routes of the API for groups."""

    async def list_(_: web.Request) -> web.Response:
        return answer(await api.list())

    async def show(request: web.Request) -> web.Response:
        return answer(await api.show(request.match_info["group"]))

    async def change(request: web.Request) -> web.Response:
        body = object_of(await request.read())
        return answer(await api.change(request.match_info["group"], body))

    async def remove(request: web.Request) -> web.Response:
        return answer(await api.remove(request.match_info["group"]))

    group = f"{_GROUPS}/{{group}}"
    return [
        web.get(_GROUPS, list_),
        web.get(group, show),
        web.patch(group, change),
        web.delete(group, remove),
    ]


def answer(value: object, status: int = 200) -> web.Response:
    """Return a value as JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def error(status: int, message: str) -> web.Response:
    """Return an error as JSON."""
    return answer({"error": {"message": message}}, status)
