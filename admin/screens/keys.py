"""The screen *keys*: the access tokens that were made at run time."""

from __future__ import annotations

import datetime

from aiohttp import web

from admin.pages import Place
from admin.screens.screen import Screen, Services
from contract.stored_keys import state
from store.stored_keys import StoredKeys

PLACE = Place("keys", "/keys")


def routes(services: Services) -> list[web.RouteDef]:
    store = StoredKeys(services.run)

    async def list_(request: web.Request) -> web.Response:
        now = datetime.datetime.now(datetime.UTC)
        keys = [(key, state(key, now)) async for key in store.list()]
        return services.pages.render(request, "keys.html", keys=keys)

    return [web.get(PLACE.path, list_)]


SCREEN = Screen(PLACE, routes)
