"""Writes pages: a template, the texts in the reader's language, and what every page has."""

from __future__ import annotations

import datetime
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from aiohttp import web
from markupsafe import Markup

from admin.sessions import Session
from admin.texts import LANGUAGES, preferred, text

HERE = Path(__file__).parent
STATIC = HERE / "static"

SESSION = web.RequestKey("session", Session)
"""The session of a request that is let in to a page."""

THEMES = ("auto", "light", "dark")

_CHOICE_LIFE = 365 * 86_400
"""Seconds for which a browser remembers a language or a theme."""


class Place(msgspec.Struct, frozen=True):
    """An entry of the navigation."""

    name: str
    """The text `nav.<name>` is what it is called."""
    path: str


class Pages:
    """The templates in `templates/`, which see everything that `render` says."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self._templates.filters["number"] = number
        self._templates.filters["instant"] = instant
        self._templates.filters["day"] = day
        self._templates.filters["unix"] = unix

    def render(
        self, request: web.Request, template: str, /, *, status: int = 200, **values: Any
    ) -> web.Response:
        """Return a page. Beside `values`, a template has these:

        `t(name, **values)`, a text in the reader's language; `duration(seconds)`; `csrf`, what
        each form sends as `csrf`; `status`; `place`, the entry of the navigation that the page
        belongs to; the filters `number`, `instant`, `day` and `unix`.
        """
        session = request.get(SESSION)
        language, theme = language_of(request), theme_of(request)
        shared = {
            "status": status,
            "t": partial(text, language),
            "duration": partial(duration, language),
            "language": language,
            "languages": LANGUAGES,
            "theme": theme,
            "themes": THEMES,
            "places": self._places,
            "place": _place(request.path, self._places),
            "session": session,
            "csrf": session.forms if session else "",
            # Only a whole page asks: a piece of one that is fetched would take it from the next.
            "hear": session.hear if session else lambda _: None,
            "here": request.rel_url,
        }
        body = self._templates.get_template(template).render({**shared, **values})
        answer = web.Response(text=body, status=status, content_type="text/html")
        _remember(request, answer, {"language": language, "theme": theme})
        return answer


def language_of(request: web.Request) -> str:
    """Return the language that was chosen, or else the one that the browser likes best."""
    accepted = request.headers.get("Accept-Language", "")
    return _chosen(request, "language", LANGUAGES) or preferred(accepted)


def theme_of(request: web.Request) -> str:
    """Return the colours that were chosen."""
    return _chosen(request, "theme", THEMES) or THEMES[0]


def moved(path: str) -> web.Response:
    """Return what a form is answered with that did what it says: another page to look at."""
    return web.Response(status=303, headers={"Location": path})


def number(value: float) -> str:
    """Return a number as people read it."""
    return f"{value:,}"


def instant(at: datetime.datetime) -> Markup:
    """Return an instant in UTC, to the minute."""
    return _time(at, "%Y-%m-%d %H:%M UTC")


def unix(seconds: float) -> datetime.datetime:
    """Return an instant of Unix time."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def day(at: datetime.datetime) -> Markup:
    """Return the day of an instant, in UTC."""
    return _time(at, "%Y-%m-%d")


def duration(language: str, seconds: float) -> str:
    """Return a duration in its two largest units."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
        n, left = divmod(left, size)
        if n or (unit == "seconds" and not parts):
            parts.append(text(language, f"unit.{unit}", n=n))
    return " ".join(parts[:2])


def _time(at: datetime.datetime, form: str) -> Markup:
    utc = at.astimezone(datetime.UTC)
    shown = '<time datetime="{}" title="{}">{}</time>'
    return Markup(shown).format(  # noqa: S704
        utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M:%S UTC"), utc.strftime(form)
    )


def _place(path: str, places: Sequence[Place]) -> Place | None:
    inside = (each for each in places if path == each.path or path.startswith(each.path + "/"))
    return next(inside, None)


def _chosen(request: web.Request, name: str, known: Container[str]) -> str:
    """Return what was chosen just now, or else before; nothing where that is unknown."""
    for chosen in (request.query.get(name, ""), request.cookies.get(name, "")):
        if chosen in known:
            return chosen
    return ""


def _remember(request: web.Request, answer: web.Response, choices: Mapping[str, str]) -> None:
    for name, value in choices.items():
        if name in request.query:
            answer.set_cookie(name, value, max_age=_CHOICE_LIFE, httponly=True, samesite="Lax")
