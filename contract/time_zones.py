"""Time zones by their names in the IANA database, such as `Europe/Berlin`."""

from __future__ import annotations

from zoneinfo import ZoneInfo

EXPECTED = "expected a time zone such as Europe/Berlin"


def time_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of this name; None where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return None
