"""Raises the limit on open files, and so on connections."""

import resource
from contextlib import suppress

_ENOUGH = 65_536


def allow_many() -> None:
    """Raise the soft limit on open files, usually 1,024, as far as the system allows.

    Each stream needs one or two.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    # macOS refuses values above a limit of its kernel; a low limit is better than not starting.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
