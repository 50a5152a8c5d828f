"""Poe's HTTP interface: https://api.poe.com, or whatever stands in for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

import httpx

from contract.messages import Model
from worker.poe.answer import Answer
from worker.poe.body import refusal, whole
from worker.poe.catalogue import read_balance, read_catalogue
from worker.poe.faults import Fault, FaultKind, Reach
from worker.poe.http1 import Connections, Gate, Head, NotSent
from worker.poe.http_errors import translated
from worker.poe.points_history import PAGE, Page, read_page
from worker.poe.transport import Transport
from worker.poe.uploads import FileUpload, UploadedFile, UrlUpload, upload, upload_url
from worker.poe.upstream import Ask, Upstream

__all__ = ["Answer", "Gate", "NotSent", "PoeClient"]

_HEADERS = {
    "Accept": "text/event-stream",
    # Compression holds back the first words of a stream and saves little.
    "Accept-Encoding": "identity",
    "Cache-Control": "no-store",
    "User-Agent": "poe2gpt",
}

MOST_HEADS = 1024
"""Heads of requests that are kept, one for each path."""

LONGEST_WHOLE = 600.0
"""Seconds that an answer may take that comes as a whole: Poe's own bound for bots."""


class PoeClient:
    """Poe's HTTP API over pooled connections, until the `async with` block is left.

    `uploads_to` is the URL that takes uploads; None: the one that belongs to `base_url`.
    `proxy` is an `http://` or `https://` URL. `connect_timeout` bounds, in seconds, the wait for
    a free connection and the connecting together. `timeout` bounds, in seconds, the silence of
    an answer: every byte re-arms it, those of comments too. `answer_timeout` bounds, in seconds,
    all of an answer, from its sending on.

    Raises ValueError for a proxy of another kind.
    """

    def __init__(
        self,
        base_url: str,
        *,
        max_connections: int,
        uploads_to: str | None = None,
        proxy: str | None = None,
        connect_timeout: float = 10.0,
        timeout: float = 180.0,
        answer_timeout: float = 3600.0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._uploads_to = uploads_to or upload_url(self._base_url)
        self._timeout = timeout
        self._answer_timeout = answer_timeout
        self._connect_timeout = connect_timeout
        self._connections = Connections(max_connections=max_connections, proxy=_proxy(proxy))
        # To word the head of a request takes longer than to word a short body.
        self._head = lru_cache(MOST_HEADS)(self._new_head)
        self._http = httpx.AsyncClient(
            transport=Transport(self._connections, connect_timeout),
            headers=_HEADERS,
            timeout=None,  # noqa: S113  # the callers set their own deadlines
            # A cookie would tie the accounts of different tokens together.
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
        await self._connections.aclose()

    def answer(
        self,
        upstream: Upstream,
        ask: Ask,
        secret: str,
        *,
        gate: Gate,
        on_reach: Callable[[Reach], None] = lambda _: None,
    ) -> Answer:
        """Prepare to ask over this upstream; `Answer` says what happens then.

        The connection is open and nothing is written when `gate` is asked; if it is open, the
        request leaves in the same step. `on_reach` is called each time the call comes further.
        Raises Fault for what cannot be asked.
        """
        with translated(secret, lambda: False):
            request = upstream.request(ask)
            # Headers in a client's own words are as many as there are clients: no heads for keeps.
            head = self._new_head if request.headers else self._head
            authorization = f"Authorization: Bearer {_checked(secret)}\r\n".encode("ascii")
            post = head(request.path, request.headers).with_body(request.body, authorization)
        return Answer(
            self._connections,
            post,
            upstream.reader([tool.name for tool in ask.job.options.tools]),
            secret,
            gate=gate,
            on_reach=on_reach,
            connect_timeout=self._connect_timeout,
            timeout=max(self._timeout, LONGEST_WHOLE * request.is_whole),
            answer_timeout=self._answer_timeout,
            takes_json=upstream.takes_json,
        )

    async def upload(self, source: FileUpload | UrlUpload, secret: str) -> UploadedFile:
        """Upload a file, or have Poe fetch it. Raises Fault; no such fault counts as sent."""
        return await upload(self._http, self._uploads_to, source, _checked(secret))

    async def balance(self, secret: str) -> int:
        """Return the points that are left. Raises Fault; BAD_KEY if Poe does not know the key."""
        return read_balance(await self.account(secret))

    async def account(self, secret: str) -> bytes:
        """Return what Poe says of a token's points, as JSON. Raises Fault."""
        return await self._get("/usage/current_balance", secret)

    async def points_history(self, secret: str, after: str = "") -> Page:
        """Return a page of what a token's account was charged for, the newest first.

        `after` is the `next` of the page before. Raises Fault.
        """
        query = {"limit": str(PAGE)} | ({"starting_after": after} if after else {})
        path = f"/usage/points_history?{urlencode(query)}"
        body, headers = await self._got(path, secret)
        return read_page(body, headers.get("date", ""))

    async def models(self) -> tuple[Model, ...]:
        """Return the catalogue, which needs no key. Raises Fault."""
        return read_catalogue(await self._get("/v1/models"))

    def _new_head(self, path: str, more: Sequence[tuple[str, str]]) -> Head:
        if any(n.lower() == "authorization" or not (n + v).isprintable() for n, v in more):
            raise Fault(FaultKind.BAD_REQUEST, "A header cannot be passed on.", sent=False)
        headers = {**_HEADERS, **dict(more), "Content-Type": "application/json"}
        return self._connections.head(httpx.Request("POST", self._base_url + path, headers=headers))

    async def _get(self, path: str, secret: str = "") -> bytes:
        return (await self._got(path, secret))[0]

    async def _got(self, path: str, secret: str) -> tuple[bytes, httpx.Headers]:
        with translated(secret):
            async with asyncio.timeout(self._timeout):
                headers = {"Accept": "application/json"} | _authorization(secret)
                url = self._base_url + path
                async with self._http.stream("GET", url, headers=headers) as response:
                    if response.status_code != 200:
                        raise await refusal(response)
                    return await whole(response), response.headers


def _proxy(url: str | None) -> httpx.URL | None:
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise ValueError("a proxy must be an http:// or https:// URL; SOCKS is not supported")
    return httpx.URL(url)


def _authorization(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {_checked(secret)}"} if secret else {}


def _checked(secret: str) -> str:
    """Return the secret if a header can hold it. Raises Fault(BAD_KEY)."""
    if not (secret.isascii() and secret.isprintable()):
        # Libraries quote what they cannot encode in their errors.
        raise Fault(FaultKind.BAD_KEY, sent=False)
    return secret
