"""The key with which the page asks models, where an operator enters none."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from contract.calls.stored_keys import FindKey
from contract.config import Given
from store.run import Run
from store.stored_keys import NameTaken, StoredKeys, UnknownKey

NAME = "admin page"

DAY_BUDGET = 20_000
"""Points that it may spend in a day, unless that is changed as of any key."""

_GRACE = 120.0
"""Seconds for which a secret stays valid that another question has replaced."""

_LIFE = "2m"
"""How long a secret is accepted. A question is let in at once, and may then take any time."""


class OwnKey:
    """A stored key of the page's own. It can be used for a moment, whenever somebody asks."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._keys = StoredKeys(run)
        self._making = asyncio.Lock()

    async def may_be_made(self) -> bool:
        """Return whether gateways want a key already.

        If not, they may be open, and the first stored key would close them.
        """
        return (await self._run(FindKey(""))).is_any_made

    async def secret(self) -> str:
        """Return a secret that gateways accept for a moment. Raises RedisFault."""
        async with self._making:
            while True:
                # Another service may make the key meanwhile, and an operator may remove it.
                with suppress(UnknownKey):
                    return await self._renewed()
                with suppress(NameTaken):
                    return await self._made()

    async def _renewed(self) -> str:
        _, secret = await self._keys.rotate(NAME, _GRACE)
        await self._keys.change(NAME, _given({"expires": _LIFE}))
        return secret

    async def _made(self) -> str:
        terms = {"name": NAME, "dayBudget": DAY_BUDGET, "expires": _LIFE}
        return (await self._keys.add(_given(terms)))[1]


def _given(values: dict[str, object]) -> Given:
    return Given(values, {name: name for name in values})
