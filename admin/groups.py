"""The API for the budgets of groups: what is asked in, what is answered out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from admin.refusal import Refusal
from contract.config import ConfigError, Given
from contract.groups import SETTABLE, Group, described
from store.groups import Groups, UnknownGroup


class GroupsAPI:
    """Each method answers one kind of request with what becomes JSON.

    `body` is a JSON object. Raises Refusal and RedisFault.
    """

    def __init__(self, store: Groups) -> None:
        self._store = store

    async def list(self) -> dict[str, Any]:
        """Return all groups that have budgets, by their names."""
        return {"groups": [described(group) for group in await self._store.list()]}

    async def show(self, group: str) -> dict[str, Any]:
        with _refusals():
            return await self._described(await self._store.show(group))

    async def change(self, group: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set what the body has; `null` takes a budget away."""
        given = Given(dict(body), {name: name for name in (*SETTABLE, *body)})
        with _refusals():
            return await self._described(await self._store.change(group, given))

    async def remove(self, group: str) -> dict[str, Any]:
        with _refusals():
            return described(await self._store.remove(group))

    async def _described(self, group: Group) -> dict[str, Any]:
        spent = [each.described(group.time_zone) for each in await self._store.standings(group)]
        return {**described(group), "budgets": spent}


@contextmanager
def _refusals() -> Iterator[None]:
    """Inside the block, what the store raises becomes a Refusal."""
    try:
        yield
    except UnknownGroup:
        raise Refusal(404, "There is no such group.") from None
    except ConfigError as error:
        raise Refusal(400, str(error)) from None
