"""What Redis has said, for as long as a gateway believes it.

It is believed for half a second from when it was asked, and then asked anew. So a change is
effective at every gateway within that time, without an announcement that could be lost, and a Redis
that is gone or frozen opens no door: then nothing is known.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

BELIEVED_FOR = 0.5
"""Seconds. What is wanted all the time costs one look-up in this time."""

REMEMBERED = 10_000
"""Names of which something is remembered; what was asked for longest ago is forgotten first."""

T = TypeVar("T")


class Beliefs(Generic[T]):
    """What was found under each name. `now` and `asked` are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()
        """What was found and when it was asked for; what was asked for last is last."""

    def __len__(self) -> int:
        return len(self._known)

    def recall(self, name: str, now: float) -> T | None:
        """Return what is under a name; None: it has to be asked for."""
        known = self._known.get(name)
        return known[1] if known is not None and now - known[0] < BELIEVED_FOR else None

    def note(self, name: str, asked: float, found: T) -> None:
        """Remember what was found."""
        self.forget(name)
        self._known[name] = asked, found
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def forget(self, name: str) -> None:
        """Remember nothing of a name."""
        self._known.pop(name, None)
