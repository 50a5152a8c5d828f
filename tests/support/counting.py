"""Measures the cost of code in numbers that do not depend on the machine."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def counted_calls() -> Iterator[SimpleNamespace]:
    """Count calls of Python functions inside the block."""
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
    """Measure the peak of additionally allocated bytes inside the block."""
    peak = SimpleNamespace(bytes=0)
    tracemalloc.start()
    try:
        yield peak
        peak.bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
