"""How many tokens an answer may take, over Poe's two APIs that are OpenAI's."""

from __future__ import annotations

import msgspec

from contract.messages import Options

LEAST = 16
"""The lowest bound that Poe takes for OpenAI's models; it refuses a lower one with a 400."""


def sendable(most: int | None) -> int | None:
    """Return the bound to send for this one. What exceeds a lower one is cut off here."""
    return most and max(most, LEAST)


def unkept(options: Options) -> Options:
    """Leave `max_tokens` to Poe, which counts the tokens itself, where Poe takes it as it is."""
    if (options.max_tokens or 0) < LEAST:
        return options
    return msgspec.structs.replace(options, max_tokens=None)
