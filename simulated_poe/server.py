"""The HTTP server of a simulated Poe: start, stop, and the routes beside the two for questions."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any

import msgspec
import orjson
from aiohttp import web

from simulated_poe import failures
from simulated_poe.accounts import holder_of
from simulated_poe.answers import Answers, bearer
from simulated_poe.catalogue import Catalogue, Model
from simulated_poe.history import History
from simulated_poe.record import Record
from simulated_poe.settings import Settings
from simulated_poe.uploads import Uploads

_MOST_BODY = 64 * 1024 * 1024


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of the catalogue."""

    status: int | None = None
    models: list[Model] = []


class SimulatedPoe:
    """A Poe that runs on the current event loop while its context is open.

    `url` is its base URL, `record` lists the calls it received, `catalogue` the models it offers,
    `history` answers for what calls have cost.
    While `hurry` is set, no answer waits: neither those under way nor new ones.
    """

    def __init__(
        self, settings: Settings | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.settings = settings or Settings()
        self.record = Record()
        self.catalogue = Catalogue(self.settings.catalogue_status)
        self.history = History()
        self.url = ""
        self.hurry = asyncio.Event()
        self._address = (host, port)
        self._answers = Answers(
            self.settings, self.record, self.catalogue, self.history, self.hurry
        )
        self._uploads = Uploads(self.settings, self.record)
        self._runner = web.AppRunner(
            self._app(),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.01,  # 0 would mean no timeout
        )

    def __repr__(self) -> str:
        return f"SimulatedPoe({self.url or 'not started'}, {self.record!r})"

    async def __aenter__(self) -> SimulatedPoe:
        host, port = self._address
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, backlog=1024).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._answers.stopping = True
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_MOST_BODY)
        app.add_routes(
            [
                web.post("/bot/{bot}", self._answers.bot),
                web.post("/v1/chat/completions", self._answers.chat),
                web.post("/v1/responses", self._answers.responses),
                web.post("/v1/messages", self._answers.messages),
                web.get("/v1/models", self._models),
                web.get("/usage/current_balance", self._balance),
                web.get("/usage/points_history", self._history),
                web.post("/poe_api/file_upload_3RD_PARTY_POST", self._uploads.take),
                web.patch("/_simulated/catalogue", self._change_catalogue),
                web.get("/_simulated/record", self._show_record),
                web.delete("/_simulated/record", self._clear_record),
            ]
        )
        return app

    async def _models(self, _: web.Request) -> web.Response:
        if self.catalogue.status != 200:
            return _json(failures.body(failures.FAILURES[500], "b"), self.catalogue.status)
        return _json(self.catalogue.listing())

    async def _balance(self, request: web.Request) -> web.Response:
        holder = holder_of(bearer(request), self.settings)
        if holder is None:
            return _json(failures.body(failures.FAILURES[401], "b"), 401)
        return _json(_balance(self.record.account(holder).points, time.time()))

    async def _history(self, request: web.Request) -> web.Response:
        holder = holder_of(bearer(request), self.settings)
        account = self.record.account(holder) if holder else None
        return self.history.answer(holder, account, dict(request.query), time.time())

    async def _change_catalogue(self, request: web.Request) -> web.Response:
        try:
            change = msgspec.json.decode(await request.read(), type=_Change)
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        if change.status is not None:
            self.catalogue.status = change.status
        for model in change.models:
            self.catalogue.add(model)
        return web.Response(status=204)

    async def _show_record(self, _: web.Request) -> web.Response:
        return _json(self.record.shown())

    async def _clear_record(self, _: web.Request) -> web.Response:
        self.record.clear()
        return web.Response(status=204)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", charset="utf-8"
    )


def _balance(points: int, now: float) -> dict[str, Any]:
    """Return all fields seen in real responses. Times are Unix times in microseconds."""
    day = 86_400 * 1_000_000
    today = int(now * 1_000_000) // day * day
    usd = f"{points / 33_000:.2f}"
    return {
        "current_point_balance": points,
        "plan_points_balance": points,
        "addon_point_balance": 0,
        "current_balance_usd": usd,
        "plan_balance_usd": usd,
        "addon_balance_usd": "0.00",
        "points_cycle_start_time": today,
        "next_daily_grant_time": today + day,
        "next_daily_grant_amount": 0,
        "next_monthly_grant_time": today + 30 * day,
        "next_monthly_grant_amount": 1_000_000,
        "auto_recharge": {"enabled": False},
    }
