"""The budgets of groups, as a gateway asks for them."""

from __future__ import annotations

import time

from contract.calls.budgets import ReadGroups
from contract.groups import Group
from gateway.queue.beliefs import Beliefs
from gateway.queue.server import Server


class Groups:
    """The groups of one deployment that have budgets."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known = Beliefs[list[Group]]()
        """An empty list: the group has none."""

    async def find(self, name: str) -> Group | None:
        """Return the budgets of a group, if it has any.

        Raises RedisFault, within a second; msgspec.DecodeError for a group that cannot be read.
        """
        asked = time.monotonic()
        found = self._known.recall(name, asked)
        if found is None:
            found = await self._server.run_soon(ReadGroups([name]))
            self._known.note(name, asked, found)
        return found[0] if found else None
