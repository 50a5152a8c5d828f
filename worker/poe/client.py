"""Poe's HTTP interface: https://api.poe.com, or whatever stands in for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx
import msgspec

from contract.messages import Job, Model
from worker.bot.query import query_of
from worker.poe.answer import Answer
from worker.poe.body import refusal, whole
from worker.poe.catalogue import read_balance, read_catalogue
from worker.poe.connections import Gate, NotSent, translated, transport
from worker.poe.faults import Fault, FaultKind

__all__ = ["Answer", "NotSent", "PoeClient"]

_HEADERS = {
    "Accept": "text/event-stream",
    # Compression holds back the first words of a stream and saves little.
    "Accept-Encoding": "identity",
    "Cache-Control": "no-store",
    "User-Agent": "poe2gpt",
}


class PoeClient:
    """Asks Poe, over pooled connections, until its `async with` block is left.

    `proxy` is an `http://` or `https://` URL. `connect_timeout` bounds, in seconds, the wait for
    a free connection and the connecting together. `timeout` bounds, in seconds, the wait for
    every event: whole events re-arm it, comments and halves of events do not.

    Raises ValueError for a proxy of another kind.
    """

    def __init__(
        self,
        base_url: str,
        *,
        max_connections: int,
        proxy: str | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 180.0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            transport=transport(max_connections, proxy),
            headers=_HEADERS,
            # Reading and writing are timed by whoever waits for them, up to the first event.
            timeout=httpx.Timeout(None, connect=connect_timeout, pool=connect_timeout),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    def answer(
        self,
        job: Job,
        secret: str,
        *,
        may_send: Callable[[], bool],
        on_sent: Callable[[], None],
        simulate_roles: int = 0,
    ) -> Answer:
        """Prepare to ask a bot; `Answer` says what happens then.

        `may_send` is asked once, with the connection open and nothing written. If it says yes,
        `on_sent` is called and the request leaves, with nothing in between.
        """
        request = partial(self._query, job, secret, simulate_roles)
        return Answer(
            self._http, request, secret, may_send=may_send, on_sent=on_sent, timeout=self._timeout
        )

    async def balance(self, secret: str) -> int:
        """Return the points that are left. Raises Fault; BAD_KEY tells that the key is none."""
        return read_balance(await self._get("/usage/current_balance", secret))

    async def models(self) -> tuple[Model, ...]:
        """Return the catalogue, which needs no key. Raises Fault."""
        return read_catalogue(await self._get("/v1/models"))

    def _query(self, job: Job, secret: str, simulate_roles: int) -> httpx.Request:
        if job.model in ("", ".", ".."):
            # As parts of a path these name another resource.
            raise Fault(FaultKind.MODEL_NOT_FOUND, sent=False)
        return self._http.build_request(
            "POST",
            f"{self._base_url}/bot/{quote(job.model, safe='')}",
            content=msgspec.json.encode(query_of(job, simulate_roles)),
            headers=_authorization(secret) | {"Content-Type": "application/json"},
        )

    async def _get(self, path: str, secret: str = "") -> bytes:
        gate = Gate()
        with translated(gate, secret), gate.entered():
            async with asyncio.timeout(self._timeout):
                headers = {"Accept": "application/json"} | _authorization(secret)
                url = self._base_url + path
                async with self._http.stream("GET", url, headers=headers) as response:
                    if response.status_code != 200:
                        raise await refusal(response)
                    return await whole(response)


def _authorization(secret: str) -> dict[str, str]:
    if not secret:
        return {}
    if not (secret.isascii() and secret.isprintable()):
        # Libraries quote in their errors what they cannot encode.
        raise Fault(FaultKind.BAD_KEY, sent=False)
    return {"Authorization": f"Bearer {secret}"}
