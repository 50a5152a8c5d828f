"""Who is let in: the API by the login token, pages by the session that the token has opened."""

from __future__ import annotations

import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from admin.config import AdminConfig, digest_of
from admin.pages import SESSION, Pages, moved
from admin.refusal import Refusal
from admin.sessions import Sessions
from runtime.guesses import Guesses
from runtime.hosts import refused_host

_log = logging.getLogger("admin")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

API = "/api/"
_OPEN = ("/healthz", "/login")
"""Paths that nobody needs to be logged in for, beside those of files."""


class Door:
    """Lets requests in. `pages` writes the form to log in with."""

    def __init__(self, config: AdminConfig, pages: Pages) -> None:
        self._token = config.admin_token
        self._hosts = config.allowed_hosts
        # Cookies are sent to every port of a host.
        self._cookie = f"poe2gpt-admin-{config.admin_port}"
        self._pages = pages
        self._sessions = Sessions()
        self._guesses = Guesses()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/login", self._ask),
            web.post("/login", self._log_in),
            web.post("/logout", self._log_out),
        ]

    @property
    def middleware(self) -> Any:
        """Return what refuses all requests that nobody logged in has sent, but for the open
        paths."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check_host(request)
            if request.path.startswith(API):
                self._check_token(request)
            elif request.path not in _OPEN and not request.path.startswith("/static/"):
                session = self._sessions.find(self._cookie_of(request), time.monotonic())
                if session is None:
                    return await self._without_session(request)
                request[SESSION] = session
                await _check_form(request)
            return await handler(request)

        return check

    def _check_host(self, request: web.Request) -> None:
        """Raise Refusal for a name that another site may have pointed here."""
        host = request.headers.get("Host", "localhost")
        if refused_host(host, self._hosts, exposed=True):
            raise Refusal(421, "This host name is not listed in `allowedHosts`.")

    def _check_token(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        if self._is_known(given):
            return
        if wait := self._count_wrong(request, given):
            raise Refusal(429, f"Too many wrong login tokens: try again in {math.ceil(wait)} s.")
        raise Refusal(401, "Send the login token as `Authorization: Bearer <adminToken>`.")

    async def _without_session(self, request: web.Request) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise Refusal(401)
        return self._form(request, 401, request.path_qs)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        return self._form(request, 200, "/")

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        _check_origin(request)
        form = await _form_of(request)
        token, to = str(form.get("token", "")).strip(), _within(str(form.get("to", "")))
        if not self._is_known(token):
            if wait := self._count_wrong(request, token):
                return self._form(request, 429, to, "login.throttled", seconds=f"{math.ceil(wait)}")
            return self._form(request, 401, to, "login.wrong")
        self._sessions.close(self._cookie_of(request))
        cookie = self._sessions.open(time.monotonic())
        answer = moved(to)
        answer.set_cookie(
            self._cookie, cookie, httponly=True, samesite="Strict", secure=_is_over_tls(request)
        )
        return answer

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        self._sessions.close(self._cookie_of(request))
        answer = moved("/login")
        answer.del_cookie(self._cookie)
        return answer

    def _form(
        self, request: web.Request, status: int, to: str, wrong: str = "", **values: str
    ) -> web.Response:
        return self._pages.render(
            request, "login.html", status=status, to=to, wrong=wrong, values=values
        )

    def _cookie_of(self, request: web.Request) -> str:
        return request.cookies.get(self._cookie, "")

    def _is_known(self, token: str) -> bool:
        """Return whether this is the login token.

        It is accepted however many wrong ones came from the same address, which may be a proxy's:
        so nobody can lock an operator out. It is too long to be found by trying.
        """
        return bool(self._token) and hmac.compare_digest(digest_of(token), self._token)

    def _count_wrong(self, request: web.Request, token: str) -> float:
        """Count a wrong token, unless there were too many: then return for how many seconds yet."""
        if not token:
            return 0
        address, now = request.remote or "", time.monotonic()
        wait = self._guesses.wait(address, b"", now)
        told = self._guesses.throttled(address, now) if wait else self._guesses.wrong(address, now)
        if told:
            _log.warning("wrong login tokens", extra={"address": address, "count": told})
        return wait


async def _check_form(request: web.Request) -> None:
    """Raise Refusal if a request would change something, and none of our pages has sent it."""
    if request.method in ("GET", "HEAD"):
        return
    _check_origin(request)
    form = await _form_of(request)
    token = request.headers.get("X-CSRF") or str(form.get("csrf", ""))
    if not request[SESSION].has_sent(token):
        raise Refusal(403)


async def _form_of(request: web.Request) -> Mapping[str, Any]:
    """Return the fields of a form, which handlers may ask for again. Raises Refusal."""
    try:
        form = await request.post()
        for value in form.values():
            str(value).encode()  # some encodings can say half a character
    except (ValueError, LookupError, AssertionError):
        # What is no form, whatever its Content-Type says.
        raise Refusal(400) from None
    return form


def _check_origin(request: web.Request) -> None:
    """Raise Refusal for what a page of another origin has sent, by what its browser says.

    Browsers leave out Sec-Fetch-Site over plain HTTP to another machine, but never the origin.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        origin = request.headers.get("Origin")
        is_ours = origin is None or origin.partition("://")[2] == request.host
    if not is_ours:
        raise Refusal(403)


def _within(path: str) -> str:
    """Return where to go after the login, which is never another site."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_local and path.isprintable() else "/"


def _is_over_tls(request: web.Request) -> bool:
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
