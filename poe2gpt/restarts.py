"""Decides whether and when to restart a program that died. Pure."""

from __future__ import annotations

_QUICK = 10.0
"""Seconds: a program that ran shorter than this did not start properly."""
_MOST = 5
"""Quick deaths in a row before giving up."""


class Restarts:
    """The quick deaths of one program."""

    def __init__(self) -> None:
        self._quick = 0

    def __repr__(self) -> str:
        return f"Restarts({self._quick} quick deaths in a row)"

    def after(self, lived: float) -> float | None:
        """Return the seconds to wait after a run of `lived` seconds, or None to give up."""
        self._quick = self._quick + 1 if lived < _QUICK else 0
        if self._quick >= _MOST:
            return None
        return 0.25 * 2.0**self._quick
