"""Messages to the person who runs the command."""

from __future__ import annotations

import sys
from collections.abc import Sequence


class CommandError(Exception):
    """The command cannot do its work. The message says why and what to do; the exit status is 1."""


def say(text: str) -> None:
    """Print a message to stderr; stdout is kept for the command's output."""
    print(f"poe2gpt: {text}", file=sys.stderr, flush=True)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as lines, with the columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
