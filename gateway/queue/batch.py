"""What one frame brings for one stream goes out in one write."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Batch:
    """Inside its block, deferred calls wait until the block ends, each of them once."""

    def __init__(self) -> None:
        self._depth = 0
        self._deferred: dict[Callable[[], None], None] = {}

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self._deferred:
            deferred, self._deferred = self._deferred, {}
            for call in deferred:
                call()

    def defer(self, call: Callable[[], None]) -> None:
        """Call at the end of the block, or now where there is none."""
        if self._depth:
            self._deferred[call] = None
        else:
            call()
