"""The screen *keys*: the access tokens that were made at run time."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from admin import key_form
from admin.keys import GRACE
from admin.pages import SESSION, Place, moved
from admin.refusal import Refusal
from admin.screens.screen import Screen, Services
from contract import stored_keys
from contract.config import Given
from contract.stored_keys import SETTABLE, StoredKey
from store.stored_keys import NameTaken, StoredKeys, UnknownKey

PLACE = Place("keys", "/keys")


def routes(services: Services) -> list[web.RouteDef]:
    """Return the routes of the screen."""
    screen = _Keys(services)
    key = PLACE.path + "/{key:[0-9a-f]{16}}"
    return [
        web.get(PLACE.path, screen.show_all),
        web.get(f"{PLACE.path}/new", screen.new),
        web.post(f"{PLACE.path}/new", screen.make),
        web.get(key, screen.show),
        web.post(key, screen.change),
        web.get(f"{key}/rotate", screen.ask_grace),
        web.post(f"{key}/rotate", screen.rotate),
        web.post(f"{key}/disable", screen.disable),
        web.post(f"{key}/enable", screen.enable),
        web.get(f"{key}/remove", screen.ask_removal),
        web.post(f"{key}/remove", screen.remove),
    ]


class _Keys:
    """The handlers. A form with a mistake comes back as it was sent, and nothing is changed."""

    def __init__(self, services: Services) -> None:
        self._store = StoredKeys(services.run)
        self._pages = services.pages

    async def show_all(self, request: web.Request) -> web.Response:
        keys = [key async for key in self._store.list()]
        return self._pages.render(request, "keys.html", keys=[(key, _state(key)) for key in keys])

    async def new(self, request: web.Request) -> web.Response:
        return await self._new(request, {}, {})

    async def make(self, request: web.Request) -> web.Response:
        fields = key_form.typed(await request.post())
        values, mistakes = key_form.read({"name": "", **fields}, _now())
        if not mistakes:
            try:
                key, secret = await self._store.add(_given(values))
            except NameTaken:
                mistakes = {"name": "keys.f.name.taken"}
        if mistakes:
            return await self._new(request, fields, mistakes)
        request[SESSION].tell("secret", (key.id, secret))
        return moved(f"{PLACE.path}/{key.id}")

    async def show(self, request: web.Request) -> web.Response:
        key = await self._key(request)
        return await self._key_page(request, key, key_form.shown(key), {})

    async def change(self, request: web.Request) -> web.Response:
        key, form = await self._key(request), await request.post()
        fields, before = key_form.typed(form), _before(form.get("before"))
        values, mistakes = key_form.read(key_form.changed(fields, before), _now())
        if not mistakes and values:
            try:
                key = await self._store.change(key.id, _given(values))
            except NameTaken:
                mistakes = {"name": "keys.f.name.taken"}
        if mistakes:
            return await self._key_page(request, key, fields, mistakes, before)
        return _told(request, "changed" if values else "unchanged", key)

    async def ask_grace(self, request: web.Request) -> web.Response:
        return await self._grace(request, GRACE)

    async def rotate(self, request: web.Request) -> web.Response:
        grace = str((await request.post()).get("grace", "")).strip()
        try:
            seconds = stored_keys.seconds(grace)
        except ValueError:
            return await self._grace(request, grace, "keys.rotate.grace.wrong")
        key, secret = await self._store.rotate((await self._key(request)).id, seconds)
        request[SESSION].tell("secret", (key.id, secret))
        return moved(f"{PLACE.path}/{key.id}")

    async def disable(self, request: web.Request) -> web.Response:
        key = await self._store.set_disabled((await self._key(request)).id, True)
        return _told(request, "disabled", key)

    async def enable(self, request: web.Request) -> web.Response:
        key = await self._store.set_disabled((await self._key(request)).id, False)
        return _told(request, "enabled", key)

    async def ask_removal(self, request: web.Request) -> web.Response:
        key = await self._key(request)
        return self._pages.render(request, "key_remove.html", key=key)

    async def remove(self, request: web.Request) -> web.Response:
        key = await self._store.remove((await self._key(request)).id)
        request[SESSION].tell("notice", ("keys.told.removed", {"name": key.name}))
        return moved(PLACE.path)

    async def _key(self, request: web.Request) -> StoredKey:
        try:
            return await self._store.show(request.match_info["key"])
        except UnknownKey:
            raise Refusal(404) from None

    async def _new(
        self, request: web.Request, fields: Mapping[str, str], mistakes: Mapping[str, str]
    ) -> web.Response:
        return self._pages.render(
            request,
            "key_new.html",
            status=422 if mistakes else 200,
            fields={**dict.fromkeys(SETTABLE, ""), **fields},
            mistakes=mistakes,
            groups=await self._groups(),
        )

    async def _key_page(
        self,
        request: web.Request,
        key: StoredKey,
        fields: Mapping[str, str],
        mistakes: Mapping[str, str],
        before: Mapping[str, str] | None = None,
    ) -> web.Response:
        of, secret = request[SESSION].hear("secret") or ("", "")
        return self._pages.render(
            request,
            "key.html",
            status=422 if mistakes else 200,
            key=key,
            state=_state(key),
            secret=secret if of == key.id else "",
            fields={**dict.fromkeys(SETTABLE, ""), **fields},
            mistakes=mistakes,
            before=msgspec.json.encode(fields if before is None else before).decode(),
            groups=await self._groups(),
        )

    async def _grace(self, request: web.Request, grace: str, mistake: str = "") -> web.Response:
        return self._pages.render(
            request,
            "key_rotate.html",
            status=422 if mistake else 200,
            key=await self._key(request),
            grace=grace,
            mistake=mistake,
        )

    async def _groups(self) -> list[str]:
        """Return the groups that keys belong to, to choose from."""
        return sorted({key.group async for key in self._store.list()} - {""})


def _told(request: web.Request, what: str, key: StoredKey) -> web.Response:
    values = {"name": key.name} if what != "unchanged" else {}
    request[SESSION].tell("notice", (f"keys.told.{what}", values))
    return moved(f"{PLACE.path}/{key.id}")


def _before(sent: object) -> dict[str, str]:
    """Return what a form held when it was loaded; nothing where that is unreadable."""
    try:
        return msgspec.json.decode(str(sent), type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _given(values: Mapping[str, Any]) -> Given:
    return Given(dict(values), {name: name for name in values})


def _state(key: StoredKey) -> str:
    return stored_keys.state(key, _now())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


SCREEN = Screen(PLACE, routes)
