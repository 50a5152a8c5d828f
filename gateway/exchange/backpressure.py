"""Clients that read more slowly than their answers come.

What they have not read is in the log, not here: a stream that runs ahead of its client is paused,
and goes on when the client has caught up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.doors import Peer
from gateway.exchange.sock_diag import unread

CREDIT = 64 * 1024
"""Bytes that a stream may send before it is checked whether its client reads."""

BEHIND = 64 * 1024
"""Bytes that may wait for a client. Beyond them it is too slow; at half it has caught up."""

LOOK_EVERY = 0.1
"""Seconds between two looks at clients that are too slow."""


class Backpressure:
    """Knows which clients of one port are behind."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting: dict[Peer, Callable[[], None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_behind(self, peer: Peer) -> bool:
        """Return whether much of what was sent to this client waits for it."""
        return unread(self._port, peer[1]).get(peer, 0) > BEHIND

    def when_ready(self, peer: Peer, call: Callable[[], None]) -> None:
        """Call back when the client has caught up, or is gone."""
        self._waiting[peer] = call
        self._look_later()

    def forget(self, peer: Peer) -> None:
        """Do not call back."""
        self._waiting.pop(peer, None)

    def _look_later(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._timer = None
        waiting = unread(self._port)
        for peer in [peer for peer in self._waiting if waiting.get(peer, 0) <= BEHIND // 2]:
            self._waiting.pop(peer)()
        self._look_later()
