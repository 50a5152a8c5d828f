"""Decides whether a program that died is started again, and when. Pure."""

from __future__ import annotations

_QUICK = 10.0
"""Seconds: what lived shorter has not really worked."""
_MOST = 5
"""That many quick deaths in a row are not bad luck."""


class Restarts:
    """The deaths of one program."""

    def __init__(self) -> None:
        self._quick = 0

    def __repr__(self) -> str:
        return f"Restarts({self._quick} quick deaths in a row)"

    def after(self, lived: float) -> float | None:
        """Tell the seconds to wait after a life of `lived` seconds, or None to give up."""
        self._quick = self._quick + 1 if lived < _QUICK else 0
        if self._quick >= _MOST:
            return None
        return 0.25 * 2.0**self._quick
