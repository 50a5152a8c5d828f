"""Signals that ask a process to stop, or to stop at once.

A service manager may signal every process of a service, and a supervisor then signals its
children, so a process may receive two signals for one request. A signal counts as repeated, and
means "at once", only if it is the same one, some time after its first.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

ECHO = 1.0
"""Seconds within which the same signal counts as one request."""


class StopSignals:
    """Tells first signals from impatient repetitions. `now` is in seconds of any one clock."""

    def __init__(self) -> None:
        self._first: dict[int, float] = {}

    def is_impatient(self, number: int, now: float) -> bool:
        """Record a signal, and return whether it asks to stop at once."""
        first = self._first.setdefault(number, now)
        return now - first >= ECHO


def heed(stop: Callable[[], object], at_once: Callable[[], object]) -> None:
    """Call `stop` on SIGTERM and SIGINT from now on, and `at_once` when one is repeated.

    `stop` may be called more than once. Must be called inside a running loop.
    """
    loop, signals = asyncio.get_running_loop(), StopSignals()

    def receive(number: int) -> None:
        (at_once if signals.is_impatient(number, loop.time()) else stop)()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive, number)
    # The parent blocked SIGINT, so that Ctrl-C during the imports prints no traceback.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
