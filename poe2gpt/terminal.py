"""What the command says to the person who started it."""

from __future__ import annotations

import sys


class Trouble(Exception):
    """Why the command cannot do what it was asked to, and what helps. The exit status is 1."""


def say(text: str) -> None:
    """Say something on stderr, which is not part of what the command was asked for."""
    print(f"poe2gpt: {text}", file=sys.stderr, flush=True)
