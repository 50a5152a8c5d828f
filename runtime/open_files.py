"""How many connections one process may hold."""

import resource
from contextlib import suppress

_ENOUGH = 65_536


def allow_many() -> None:
    """Raise the soft limit on open files, 1,024 almost everywhere, as far as the system lets us.

    Each stream holds one, or two.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    # macOS refuses what is above a limit of the kernel's own; to serve fewer is better than none.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
