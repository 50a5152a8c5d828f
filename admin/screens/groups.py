"""The part of the screen *keys* that is about groups: what their keys may spend together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from admin import budget_view, form
from admin.pages import SESSION, moved
from admin.refusal import Refusal
from admin.screens.screen import Services
from contract import groups
from contract.budgets import budgets_of
from contract.config import ConfigError
from contract.groups import SETTABLE, Group
from store.groups import Groups, UnknownGroup

PATH = "/keys/group"


def routes(services: Services) -> list[web.RouteDef]:
    """Return the routes of groups, whose names are in the query: they may be any text."""
    screen = _Groups(services)
    return [
        web.get(PATH, screen.show),
        web.post(PATH, screen.change),
        web.post(f"{PATH}/remove", screen.remove),
    ]


class _Groups:
    """The handlers."""

    def __init__(self, services: Services) -> None:
        self._run = services.run
        self._store = Groups(services.run)
        self._pages = services.pages

    async def show(self, request: web.Request) -> web.Response:
        group = await self._group(request)
        return await self._page(request, group, form.shown(group, SETTABLE), {})

    async def change(self, request: web.Request) -> web.Response:
        group, sent = await self._group(request), await request.post()
        fields, before = form.typed(sent, SETTABLE), form.before_of(sent)
        wanted = form.changed(fields, before)
        values, mistakes = form.read(wanted, partial(groups.changes, group.name))
        if mistakes:
            return await self._page(request, group, fields, mistakes, before)
        if values:
            await self._store.change(group.name, form.given(values))
        what = "keys.told.changed" if values else "keys.told.unchanged"
        request[SESSION].tell("notice", (what, {"name": group.name}))
        return moved(f"{PATH}?{urlencode({'name': group.name})}")

    async def remove(self, request: web.Request) -> web.Response:
        group = await self._group(request)
        await self._store.remove(group.name)
        request[SESSION].tell("notice", ("groups.told.removed", {"name": group.name}))
        return moved("/keys")

    async def _group(self, request: web.Request) -> Group:
        """Return the group that is asked for, which may have no budgets yet. Raises Refusal."""
        name = request.query.get("name", "")
        try:
            groups.changes(name, form.given({}))
            return await self._store.show(name)
        except ConfigError:
            raise Refusal(404) from None
        except UnknownGroup:
            return Group(name=name)

    async def _page(
        self,
        request: web.Request,
        group: Group,
        fields: Mapping[str, str],
        mistakes: Mapping[str, str],
        before: Mapping[str, str] | None = None,
    ) -> web.Response:
        budgets = budgets_of("group", group.name, group.name, group, time.time())
        return self._pages.render(
            request,
            "group.html",
            status=422 if mistakes else 200,
            group=group,
            query=urlencode({"name": group.name}),
            bars=(await budget_view.read_bars(self._run, [budgets]))[0],
            fields={**dict.fromkeys(SETTABLE, ""), **fields},
            mistakes=mistakes,
            before=msgspec.json.encode(fields if before is None else before).decode(),
        )
