"""The screen *keys*: the access tokens that were made at run time."""

from __future__ import annotations

import datetime
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from aiohttp import web

from admin import budget_view, form
from admin.keys import GRACE
from admin.listing import part_of
from admin.pages import SESSION, Place, moved
from admin.screens import groups
from admin.screens.screen import Screen, Services
from contract import stored_keys
from contract.budgets import budgets_of
from contract.config import Source
from contract.stored_keys import SETTABLE, StoredKey
from store.faults import RedisFault
from store.groups import Groups
from store.stored_keys import NameTaken, StoredKeys

_log = logging.getLogger("admin")

PLACE = Place("keys", "/keys")


def routes(services: Services) -> list[web.RouteDef]:
    """Return the routes of the screen."""
    screen = _Keys(services)
    key = PLACE.path + "/{key:[0-9a-f]{16}}"
    return [
        web.get(PLACE.path, screen.show_all),
        web.get(f"{PLACE.path}/new", screen.new),
        web.post(f"{PLACE.path}/new", screen.make),
        *groups.routes(services),
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
        self._run = services.run
        self._store = StoredKeys(services.run)
        self._groups = Groups(services.run)
        self._pages = services.pages

    async def show_all(self, request: web.Request) -> web.Response:
        keys = [key async for key in self._store.list()]
        all_groups = budget_view.groups_of(keys, await self._groups.list())
        part = part_of(keys, request.query, _words)
        groups = part_of(all_groups, {"find": part.find}, lambda group: [group.name])
        now = time.time()
        budgets = [budgets_of("key", key.id, key.name, key, now) for key in part.rows]
        budgets += [budgets_of("group", each.name, each.name, each, now) for each in groups.rows]
        bars = await budget_view.read_bars(self._run, budgets)
        return self._pages.render(
            request,
            "keys.html",
            part=part,
            keys=[(key, _state(key), bar) for key, bar in zip(part.rows, bars, strict=False)],
            part_of_groups=groups,
            groups=[*zip(groups.rows, bars[len(part.rows) :], strict=True)],
            members=Counter(key.group for key in keys),
        )

    async def new(self, request: web.Request) -> web.Response:
        return await self._new(request, {}, {})

    async def make(self, request: web.Request) -> web.Response:
        fields = form.typed(await request.post(), SETTABLE)
        values, mistakes = form.read({"name": "", **fields}, _check)
        if not mistakes:
            try:
                key, secret = await self._store.add(form.given(values))
            except NameTaken:
                mistakes = {"name": "keys.f.name.taken"}
            except RedisFault as fault:
                return self._without_redis(request, fields, fault)
        if mistakes:
            return await self._new(request, fields, mistakes)
        return _shown_once(request, key, secret)

    async def show(self, request: web.Request) -> web.Response:
        key = await self._key(request)
        return await self._key_page(request, key, form.shown(key, SETTABLE), {})

    async def change(self, request: web.Request) -> web.Response:
        key, sent = await self._key(request), await request.post()
        fields, before = form.typed(sent, SETTABLE), form.before_of(sent)
        values, mistakes = form.read(form.changed(fields, before), _check)
        if not mistakes and values:
            try:
                key = await self._store.change(key.id, form.given(values))
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
        return _shown_once(request, key, secret)

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
        return await self._store.show(request.match_info["key"])

    async def _new(
        self, request: web.Request, fields: Mapping[str, str], mistakes: Mapping[str, str]
    ) -> web.Response:
        return self._pages.render(
            request,
            "key_new.html",
            status=422 if mistakes else 200,
            fields={**dict.fromkeys(SETTABLE, ""), **fields},
            mistakes=mistakes,
            groups=await self._group_names(),
        )

    def _without_redis(
        self, request: web.Request, fields: Mapping[str, str], fault: Exception
    ) -> web.Response:
        _log.warning("Redis: %r", fault)
        return self._pages.render(
            request,
            "key_new.html",
            status=503,
            fields={**dict.fromkeys(SETTABLE, ""), **fields},
            mistakes={},
            groups=(),
        )

    async def _key_page(
        self,
        request: web.Request,
        key: StoredKey,
        fields: Mapping[str, str],
        mistakes: Mapping[str, str],
        before: Mapping[str, str] | None = None,
    ) -> web.Response:
        budgets = budgets_of("key", key.id, key.name, key, time.time())
        (bars,) = await budget_view.read_bars(self._run, [budgets])
        groups = await self._group_names()
        return self._pages.render(
            request,
            "key.html",
            status=422 if mistakes else 200,
            key=key,
            state=_state(key),
            bars=bars,
            # Last of all: it is said only once, and Redis may have failed until here.
            secret=request[SESSION].hear(_secret_of(key)),
            fields={**dict.fromkeys(SETTABLE, ""), **fields},
            mistakes=mistakes,
            before=msgspec.json.encode(fields if before is None else before).decode(),
            groups=groups,
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

    async def _group_names(self) -> list[str]:
        """Return the groups that there are, to choose from."""
        keys = [key async for key in self._store.list()]
        return [group.name for group in budget_view.groups_of(keys, await self._groups.list())]


def _shown_once(request: web.Request, key: StoredKey, secret: str) -> web.Response:
    request[SESSION].tell(_secret_of(key), secret)
    return moved(f"{PLACE.path}/{key.id}")


def _secret_of(key: StoredKey) -> str:
    return f"secret of {key.id}"


def _told(request: web.Request, what: str, key: StoredKey) -> web.Response:
    values = {"name": key.name} if what != "unchanged" else {}
    request[SESSION].tell("notice", (f"keys.told.{what}", values))
    return moved(f"{PLACE.path}/{key.id}")


def _check(given: Source) -> object:
    return stored_keys.changes(given, _now())


def _words(key: StoredKey) -> Iterable[str]:
    return (key.name, key.group, key.id, *key.labels.values())


def _state(key: StoredKey) -> str:
    return stored_keys.state(key, _now())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


SCREEN = Screen(PLACE, routes)
