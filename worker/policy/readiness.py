"""Orders many tokens: those that can start now by rank, the others by when they can.

Two heaps, so that a step costs the logarithm of the number of tokens. A token that has changed gets
a new entry, and its old one is skipped when it comes up.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection

NEVER = float("inf")

Rank = tuple[float, float]
_Entry = tuple[Rank, int, str]
"""The rank of a token (or, while it waits, when it can start, and 0), its place in the list, its
id."""

SLACK = 64
"""Outdated entries, beyond as many as are valid, that are kept before they are cleared."""


class Readiness:
    """The tokens that may be used. `now` must never go back."""

    def __init__(self, order: Collection[str], rank: Callable[[str], Rank]) -> None:
        self._place = {key: place for place, key in enumerate(order)}
        self._rank = rank
        """The least goes first; among equals the one that is first in `order`."""
        self._valid: dict[str, _Entry] = {}
        self._waiting: list[_Entry] = []
        self._ready: list[_Entry] = []

    def __len__(self) -> int:
        """Return the number of entries, valid or outdated."""
        return len(self._waiting) + len(self._ready)

    def put(self, key: str, at: float) -> None:
        """Note that this token can start at `at`; its rank may have changed as well."""
        if at == NEVER:
            self.remove(key)
            return
        self._push(self._waiting, ((at, 0.0), self._place[key], key))

    def remove(self, key: str) -> None:
        """Leave this token out until it is put again."""
        self._valid.pop(key, None)

    def best(self, now: float, not_before: Callable[[str], float]) -> tuple[str | None, float]:
        """Return the first of those that can start now; else None, and when the next one can.

        `not_before` returns from when on a token will do this time. Each token that it excludes
        costs a step.
        """
        while (entry := self._first(self._waiting)) is not None and entry[0][0] <= now:
            heapq.heappop(self._waiting)
            self._push(self._ready, (self._rank(entry[2]), *entry[1:]))
        found, soonest, excluded = None, NEVER, []
        while found is None and (entry := self._first(self._ready)) is not None:
            if (at := not_before(entry[2])) <= now:
                found = entry[2]
            else:
                soonest = min(soonest, at)
                excluded.append(heapq.heappop(self._ready))
        for entry in excluded:
            heapq.heappush(self._ready, entry)
        return (found, now) if found else (None, self._soonest(soonest, not_before))

    def _soonest(self, soonest: float, not_before: Callable[[str], float]) -> float:
        excluded = []
        while (entry := self._first(self._waiting)) is not None and entry[0][0] < soonest:
            (at, _), _, key = entry
            soonest = min(soonest, max(at, not_before(key)))
            excluded.append(heapq.heappop(self._waiting))
        for entry in excluded:
            heapq.heappush(self._waiting, entry)
        return soonest

    def _first(self, heap: list[_Entry]) -> _Entry | None:
        while heap and self._valid.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)
        return heap[0] if heap else None

    def _push(self, heap: list[_Entry], entry: _Entry) -> None:
        self._valid[entry[2]] = entry
        heapq.heappush(heap, entry)
        if len(heap) > 2 * len(self._valid) + SLACK:
            heap[:] = [each for each in heap if self._valid.get(each[2]) is each]
            heapq.heapify(heap)
