"""Messages to the person who runs the command."""

from __future__ import annotations

import sys


class CommandError(Exception):
    """The command cannot do its work. The message says why and what to do; the exit status is 1."""


def say(text: str) -> None:
    """Print a message to stderr; stdout is kept for the command's output."""
    print(f"poe2gpt: {text}", file=sys.stderr, flush=True)
