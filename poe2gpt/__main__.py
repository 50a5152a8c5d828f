"""The entry point of `poe2gpt`. Any failure ends in one line and a status, never a traceback."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

# The other imports take a while, during which Ctrl-C may come, so they happen inside `try`.
# ruff: noqa: PLC0415

INTERRUPTED, BROKEN_PIPE = 130, 141
"""The statuses that shells report for a death by SIGINT and by SIGPIPE."""


def main() -> None:
    """Run the command and exit: 0 success, 1 failure, 2 invalid usage."""
    status = _status()
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Nothing is left to clean up, and Python would answer Ctrl-C with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status if _flushed() else status or 1)


def _status() -> int:
    try:
        import signal

        # The command blocks SIGINT while it executes itself again.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _escape_unencodable()
        from poe2gpt.command import run

        return run(sys.argv[1:])
    except SystemExit as error:  # argparse's, after --help and --version
        return error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE  # the reader of our output has gone
    except Exception as error:  # the boundary for unforeseen errors
        print(f"poe2gpt: {_explained(error)}", file=sys.stderr, flush=True)
        return 1


def _explained(error: Exception) -> str:
    """Describe an unforeseen error. Only the system's messages are shown: they hold no secret."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is missing: README.md says how to install"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "nowhere"
    return f"this is a bug, please report it: {type(error).__name__} at {where}"


def _escape_unencodable() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flushed() -> bool:
    """Flush stdout, and return whether that succeeded."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # Otherwise Python tries again at exit, and prints an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    main()
