"""What a piece of code costs, in numbers that do not depend on the machine."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def counted_calls() -> Iterator[SimpleNamespace]:
    """Count the calls of functions that are written in Python."""
    calls = SimpleNamespace(made=0)

    def count(_frame: object, event: str, _argument: object) -> None:
        calls.made += event == "call"

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@contextmanager
def peak_memory() -> Iterator[SimpleNamespace]:
    """Measure how many bytes more than before are held at any time."""
    peak = SimpleNamespace(bytes=0)
    tracemalloc.start()
    try:
        yield peak
        peak.bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
