"""The screen *Poe accounts*: what workers use, how it stands, and setting it aside by hand."""

from __future__ import annotations

from aiohttp import web

from admin.accounts import Row, rows_of, tokens_of
from admin.pages import SESSION, Place, moved
from admin.refusal import Refusal
from admin.screens.screen import Screen, Services
from contract import stored_keys
from contract.calls.accounts import ReadTokensSeen
from contract.calls.stored_tokens import HoldToken, ReadTokens
from store.accounts import read_uses

PLACE = Place("accounts", "/accounts")


def routes(services: Services) -> list[web.RouteDef]:
    """Return the routes of the screen."""
    screen = _Accounts(services)
    token = PLACE.path + "/{token:[0-9a-f]{16}}"
    return [
        web.get(PLACE.path, screen.show_all),
        web.get(f"{token}/park", screen.ask_span),
        web.post(f"{token}/park", screen.park),
        web.post(f"{token}/unpark", screen.unpark),
    ]


class _Accounts:
    """The handlers. Workers hear of a change within seconds."""

    def __init__(self, services: Services) -> None:
        self._run = services.run
        self._pages = services.pages

    async def show_all(self, request: web.Request) -> web.Response:
        return self._pages.render(request, "accounts.html", rows=await self._rows())

    async def ask_span(self, request: web.Request) -> web.Response:
        return self._ask(request, await self._row(request), "")

    async def park(self, request: web.Request) -> web.Response:
        row, span = await self._row(request), str((await request.post()).get("span", "")).strip()
        try:
            seconds = stored_keys.seconds(span) if span else None
        except ValueError:
            seconds = 0.0
        if seconds == 0:
            return self._ask(request, row, span, "accounts.park.span.wrong")
        await self._run(HoldToken(row.id, seconds))
        return _told(request, "parked", row)

    async def unpark(self, request: web.Request) -> web.Response:
        row = await self._row(request)
        await self._run(HoldToken(row.id, release=True))
        return _told(request, "unparked" if row.use.held else "looked", row)

    async def _row(self, request: web.Request) -> Row:
        found = [row for row in await self._rows() if row.id == request.match_info["token"]]
        if not found:
            raise Refusal(404)
        return found[0]

    async def _rows(self) -> list[Row]:
        seen = await self._run(ReadTokensSeen())
        tokens = tokens_of(seen, (await self._run(ReadTokens())).tokens or {})
        return rows_of(tokens, await read_uses(self._run, tokens))

    def _ask(self, request: web.Request, row: Row, span: str, mistake: str = "") -> web.Response:
        return self._pages.render(
            request,
            "account_park.html",
            status=422 if mistake else 200,
            row=row,
            span=span,
            mistake=mistake,
        )


def _told(request: web.Request, what: str, row: Row) -> web.Response:
    request[SESSION].tell("notice", (f"accounts.told.{what}", {"name": row.token.label}))
    return moved(PLACE.path)


SCREEN = Screen(PLACE, routes)
