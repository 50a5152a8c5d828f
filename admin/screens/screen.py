"""What a screen is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from admin.config import AdminConfig
from admin.pages import Pages, Place
from admin.watch import Watch
from store.run import Run


@dataclass(frozen=True)
class Services:
    """What screens have to work with."""

    config: AdminConfig
    pages: Pages
    run: Run
    """Runs a call of the contract. Raises RedisFault, which becomes a page of its own."""
    watch: Watch


@dataclass(frozen=True)
class Screen:
    """A part of the page, with an entry in the navigation. Its paths are below `place.path`."""

    place: Place
    routes: Callable[[Services], Sequence[web.RouteDef]]
