"""The Poe accounts as the page shows them: how each of their tokens stands, in a word. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from contract.calls.accounts import AccountUse, SeenToken
from contract.stored_tokens import StoredToken

Kind = Literal["good", "warn", "bad", "idle"]

LEARNED = {"no points": "no_points", "bad key": "bad_key"}
"""What workers call the states that they set a token aside for, and their texts."""


class State(msgspec.Struct, frozen=True):
    """How a token stands."""

    name: str
    """The text `accounts.state.<name>` says it."""
    kind: Kind
    seconds: float = 0.0
    """For how long that lasts; 0: it does not say."""
    reason: str = ""
    """What workers have noted of it, for a state that has no text."""


class Row(msgspec.Struct, frozen=True):
    """One token, and the account that it belongs to."""

    id: str
    token: SeenToken
    use: AccountUse
    state: State
    siblings: int = 0
    """Other tokens that share the account's limits."""


def tokens_of(
    seen: Mapping[str, SeenToken], stored: Mapping[str, StoredToken]
) -> list[tuple[str, SeenToken]]:
    """Return all tokens that anyone knows of, by their ids, in the order of their names.

    One that was added, and that no worker has, is known by its label alone.
    """
    unseen = {id_: SeenToken(token.label, id_, id_, 0, 0) for id_, token in stored.items()}
    return sorted({**unseen, **seen}.items(), key=lambda each: (each[1].label.casefold(), each[0]))


def rows_of(tokens: Sequence[tuple[str, SeenToken]], uses: Sequence[AccountUse]) -> list[Row]:
    """Return what is shown of these tokens."""
    sharing = Counter(token.account for _, token in tokens)
    return [
        Row(id_, token, use, state_of(token, use), sharing[token.account] - 1)
        for (id_, token), use in zip(tokens, uses, strict=True)
    ]


def state_of(token: SeenToken, use: AccountUse) -> State:
    """Return how a token stands: of several reasons the one that has to end first of all."""
    known = LEARNED.get(use.state, "")
    states = (
        (use.held, State("held", "idle", max(use.held, 0))),
        (use.parked, State(known or "parked", "bad", use.parked, "" if known else use.reason)),
        (not use.worker, State("unowned", "bad")),
        (use.rests, State("rests", "warn", use.rests)),
        (use.in_flight >= token.max_in_flight, State("full", "warn")),
        (use.uses >= token.rate_limit, State("used_up", "warn")),
        (use.cools, State("cools", "good", use.cools)),
        (use.in_flight, State("busy", "good")),
    )
    return next((state for holds, state in states if holds), State("ready", "good"))
