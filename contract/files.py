"""How many connections one process may hold."""

import resource


def allow_many() -> None:
    """Raise the soft limit on open files, 1,024 almost everywhere, to the hard one.

    Each stream holds one, or two.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
