"""How Poe tokens stand, for commands and pages that list them."""

from __future__ import annotations

from collections.abc import Sequence

from contract.calls.accounts import AccountUse, ReadUse, SeenToken
from store.run import Run

PAGE = 500
"""Tokens that one script is asked about, which takes it some milliseconds."""


async def read_uses(run: Run, tokens: Sequence[tuple[str, SeenToken]]) -> list[AccountUse]:
    """Return how these tokens stand, in their order. Raises RedisFault."""
    uses: list[AccountUse] = []
    for start in range(0, len(tokens), PAGE):
        page = await run(ReadUse(tokens[start : start + PAGE]))
        uses += page
    return uses
