"""The command `poe2gpt`, and its end: whatever happens, a line and a status, never a traceback."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

# Whatever else is imported takes a while, in which Ctrl-C may come: so that is done within `try`.
# ruff: noqa: PLC0415

INTERRUPTED, UNHEARD = 130, 141
"""What shells make of a death by SIGINT and by SIGPIPE."""


def main() -> None:
    """Run the command. Exit status: 0 as asked, 1 could not, 2 asked for nonsense."""
    status = _status()
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Nothing is left to be tidied up, and Python would answer Ctrl-C with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status if _flushed() else status or 1)


def _status() -> int:
    try:
        import signal

        # A command that starts itself anew blocks it meanwhile.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _speak_any_language()
        from poe2gpt.command import run

        return run(sys.argv[1:])
    except SystemExit as error:  # argparse's, after --help and --version
        return error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return UNHEARD  # whoever was reading has enough
    except Exception as error:  # the boundary: what nobody has foreseen ends here
        print(f"poe2gpt: {_explained(error)}", file=sys.stderr, flush=True)
        return 1


def _explained(error: Exception) -> str:
    """Say what was not foreseen; of words of others only the system's, for those hold no secret."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is missing: see README.md on how to install"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "nowhere"
    return f"a fault of its own, please report it: {type(error).__name__} at {where}"


def _speak_any_language() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flushed() -> bool:
    """Write what is still to be written, and return whether that could be done."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # Python would try again at its end, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    main()
