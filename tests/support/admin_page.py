"""The admin service as a process, and a browser without a screen to use it with."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx

from tests.support.deployment import PATIENCE, Child, eventually, free_port, spawn
from tests.support.gateway_alone import kill

LOGIN = "login-canary-0123456789-0123456789"


@dataclass
class AdminPage:
    """A running admin service."""

    child: Child
    url: str

    def visitor(self, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """Return someone who is not logged in, and keeps cookies. Each address guesses alone."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=PATIENCE,
            transport=httpx.AsyncHTTPTransport(local_address=address),
        )

    @asynccontextmanager
    async def operator(self, **headers: str) -> AsyncIterator[Operator]:
        """Yield someone who is logged in."""
        async with self.visitor(**headers) as http:
            answer = await http.post("/login", data={"token": LOGIN, "to": "/keys"})
            assert answer.status_code == 303, answer.text
            yield Operator(http)


class Operator:
    """Someone who is logged in, and fills in forms."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def page(self, path: str) -> str:
        """Return a page."""
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(self, path: str, *, at: str = "", **fields: Any) -> httpx.Response:
        """Send a form to `path` that the page `at` has, and return the answer as it is."""
        page = await self.page(at or path)
        return await self.http.post(path, data={"csrf": csrf_of(page), **fields})

    async def do(self, path: str, *, at: str = "", **fields: Any) -> tuple[str, str]:
        """Send a form that is taken, and return where that leads and the page there."""
        answer = await self.send(path, at=at, **fields)
        assert answer.status_code == 303, answer.text[-2000:]
        return answer.headers["location"], await self.page(answer.headers["location"])


def csrf_of(page: str) -> str:
    return value_of("csrf", page)


def value_of(name: str, page: str) -> str:
    """Return what a field of a form holds."""
    found = re.search(rf'<input[^>]*\bname="{name}"[^>]*\bvalue="([^"]*)"', page)
    assert found, f"no field {name} in {page}"
    return unescape(found[1])


@asynccontextmanager
async def admin_page(directory: Path, redis_url: str, config: str = "") -> AsyncIterator[AdminPage]:
    """Start `poe2gpt admin`; `config` is TOML."""
    port = free_port()
    file = directory / "config.toml"
    file.write_text(f"adminPort = {port}\n{config}")
    child = await spawn(
        directory / "admin.log",
        *(sys.executable, "-m", "poe2gpt", "admin", "--config", str(file)),
        *("--redis-url", redis_url),
        env={"ADMIN_TOKEN": LOGIN},
    )
    page = AdminPage(child, f"http://127.0.0.1:{port}")

    async def is_up() -> bool:
        try:
            async with page.visitor() as http:
                return (await http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        await eventually(is_up, "the admin service")
        yield page
    finally:
        await kill(child)
