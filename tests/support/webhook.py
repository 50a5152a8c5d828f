"""A server of webhooks, each of whose answers the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

SECRET = "canary-of-the-webhook"


class Webhook:
    """What was posted, and how the next one is answered."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.is_silent = False
        self.got: list[dict[str, Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append({**await request.json(), "path": request.path_qs})
        if self.is_silent:
            await asyncio.Event().wait()
        return web.Response(status=self.status, headers=self.headers, text="x" * 100_000)


@asynccontextmanager
async def serving_webhook() -> AsyncIterator[Webhook]:
    webhook = Webhook()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", webhook.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    webhook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET}?key={SECRET}"
    yield webhook
    await runner.cleanup()
