"""Messages to the person who runs the command."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence


class CommandError(Exception):
    """The command cannot do its work. The message says why and what to do; the exit status is 1."""


def say(text: str) -> None:
    """Print a message to stderr; stdout is kept for the command's output."""
    print(f"poe2gpt: {text}", file=sys.stderr, flush=True)


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return rows as lines, with the columns below each other; `right` has those of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if place in right else "<" for place in range(len(widths))]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    )
