"""Which handler answers a path, and which dialect words what goes wrong there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.dialect import Dialect

H = TypeVar("H")
"""A handler."""

Header = Callable[[str], str]
"""Returns a header of the request by its name; empty: it has none of the name."""


def route_of(path: str) -> str:
    """Return the path without `/v1`, and without doubled and trailing slashes.

    A redirect to it would lose a POST's body.
    """
    route = "/" + "/".join(part for part in path.split("/") if part)
    return route.removeprefix("/v1") or "/" if f"{route}/".startswith("/v1/") else route


@dataclass
class Route(Generic[H]):
    """One path."""

    dialect: Dialect
    handlers: dict[str, H] = field(default_factory=dict)
    """By method."""

    @property
    def allow(self) -> str:
        """The methods that it takes, as in `GET, OPTIONS`."""
        return ", ".join([*self.handlers, "OPTIONS"])


class Routes(Generic[H]):
    """The paths of a gateway. Where several dialects claim one, or none, their marks decide.

    Without a mark it is the first that claims the path, or the first of all.
    """

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._dialects = dialects
        self._routes: dict[str, list[Route[H]]] = {}

    def add(self, method: str, path: str, handler: H, dialect: Dialect | None = None) -> None:
        """Answer a method at a path. One that ends in `/` stands for all below it, too."""
        dialect = dialect or self._dialects[0]
        routes = self._routes.setdefault(path, [])
        route = next((route for route in routes if route.dialect is dialect), None)
        if route is None:
            route = Route(dialect)
            routes.append(route)
        route.handlers[method] = handler

    def find(self, path: str, header: Header) -> tuple[Route[H] | None, str]:
        """Return what answers this path, and the rest of the path below a route.

        An id may hold slashes; Granian has decoded the path.
        """
        if path in self._routes:
            return _meant(self._routes[path], header), ""
        for known, routes in self._routes.items():
            rest = path.removeprefix(known) if known.endswith("/") and known != "/" else path
            # `/models/chat/completions` names no model: it is a base URL that ends in /models.
            if rest != path and f"/{rest}" not in self._routes:
                return _meant(routes, header), rest
        return None, ""

    def dialect_of(self, path: str, header: Header) -> Dialect:
        """Return the dialect that words what goes wrong at this path, be it served or not."""
        for known, routes in self._routes.items():
            if known != "/" and f"{path}/".startswith(f"{known.rstrip('/')}/"):
                return _meant(routes, header).dialect
        marked = (each for each in self._dialects if _is_marked(each, header))
        return next(marked, self._dialects[0])


def _meant(routes: Sequence[Route[H]], header: Header) -> Route[H]:
    """Return which of the routes of one path a request means."""
    return next((route for route in routes if _is_marked(route.dialect, header)), routes[0])


def _is_marked(dialect: Dialect, header: Header) -> bool:
    return bool(dialect.mark and header(dialect.mark))
