"""The budgets of groups, as a gateway asks for them.

As with stored keys, what Redis has said is believed for half a second from when it was asked.
"""

from __future__ import annotations

import time

from contract.calls.budgets import ReadGroups
from contract.groups import Group
from gateway.queue.server import Server
from gateway.queue.stored_keys import BELIEVED_FOR, REMEMBERED


class Groups:
    """The groups of one deployment that have budgets."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._known: dict[str, tuple[float, Group | None]] = {}
        """What was found and when it was asked for, by name."""

    async def find(self, name: str) -> Group | None:
        """Return the budgets of a group, if it has any.

        Raises RedisFault, within a second; msgspec.DecodeError for a group that cannot be read.
        """
        asked = time.monotonic()
        known = self._known.get(name)
        if known is not None and asked - known[0] < BELIEVED_FOR:
            return known[1]
        found = await self._server.run_soon(ReadGroups([name]))
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        group = found[0] if found else None
        self._known[name] = asked, group
        return group
