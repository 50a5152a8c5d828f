"""Who is logged in: sessions that live in this process only, so its restart ends them all."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Any

import msgspec

LIFE = 12 * 3600.0
"""Seconds from the login until a session ends by itself."""

MOST = 100
"""Sessions at a time; the oldest ends when there is one more."""


class Session(msgspec.Struct):
    """What is known of one browser that is logged in."""

    ends: float
    forms: str
    """The token that each of its forms has, and no other site can know."""
    told: dict[str, Any] = {}
    """What the next page says once; see `tell`."""

    def has_sent(self, token: str) -> bool:
        """Return whether a form that has this token is one of ours."""
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.forms.encode())

    def tell(self, name: str, value: Any) -> None:
        """Have the next page say something, once: a form is answered by a redirect."""
        self.told[name] = value

    def hear(self, name: str) -> Any:
        """Return what was left to say under this name, or None; it is not said again."""
        return self.told.pop(name, None)


class Sessions:
    """The sessions, by the digests of their cookies. `now` is in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __repr__(self) -> str:
        return f"Sessions({len(self._sessions)})"

    def open(self, now: float) -> str:
        """Begin a session, and return the secret that its cookie holds."""
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = Session(now + LIFE, secrets.token_urlsafe(32))
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str, now: float) -> Session | None:
        """Return the session of a cookie, unless it has ended."""
        session = self._sessions.get(_digest(cookie))
        if session is not None and session.ends <= now:
            self.close(cookie)
            return None
        return session

    def close(self, cookie: str) -> None:
        """End a session, if there is one of this cookie."""
        self._sessions.pop(_digest(cookie), None)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
