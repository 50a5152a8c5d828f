"""What models have refused, so that they are not asked for it again.

Each worker learns this anew, by calls that cost nothing: Poe does not run what it refuses.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from worker.poe.raw_json import Path

MOST = 64
"""Refusals that are remembered of one model over one upstream: the latest."""

MOST_MODELS = 1000


class Learned:
    """The refusals of each model over each upstream."""

    def __init__(self) -> None:
        self._refused: OrderedDict[tuple[str, str], OrderedDict[Path, None]] = OrderedDict()

    def refused(self, upstream: str, model: str) -> frozenset[Path]:
        """Return what the model has refused."""
        return frozenset(self._refused.get((upstream, model), ()))

    def note(self, upstream: str, model: str, refused: Iterable[Path]) -> None:
        """Note what the model has refused."""
        paths = self._refused.setdefault((upstream, model), OrderedDict())
        self._refused.move_to_end((upstream, model))
        for path in refused:
            paths[path] = None
            paths.move_to_end(path)
        while len(paths) > MOST:
            paths.popitem(last=False)
        while len(self._refused) > MOST_MODELS:
            self._refused.popitem(last=False)
