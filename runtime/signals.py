"""Signals that ask a process to stop, or to stop at once.

A service manager may signal every process of a service, and a supervisor then signals its own
children: that is one request, though a process hears of it twice. So a repetition means "at once"
only if it is the same signal, and some time after its first.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

ECHO = 1.0
"""Seconds within which the same signal is the same request."""


class StopSignals:
    """Tells a first signal from an impatient repetition. `now` is in seconds of any one clock."""

    def __init__(self) -> None:
        self._first: dict[int, float] = {}

    def is_impatient(self, number: int, now: float) -> bool:
        """Take in a signal, and return whether it asks to stop at once."""
        first = self._first.setdefault(number, now)
        return now - first >= ECHO


def heed(stop: Callable[[], object], at_once: Callable[[], object]) -> None:
    """From now on, call `stop` for SIGTERM and SIGINT, and `at_once` where they are repeated.

    `stop` may be called more than once. To be called inside a running loop.
    """
    loop, signals = asyncio.get_running_loop(), StopSignals()

    def told(number: int) -> None:
        (at_once if signals.is_impatient(number, loop.time()) else stop)()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    # Whoever started us has blocked it, so that one that comes while we start is no traceback.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
