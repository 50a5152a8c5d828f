"""The calls about Poe accounts as people look at them: whose they are, and how they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from contract.calls.call import Call, Word, hash_of, milliseconds

SEEN_LIFE = 24 * 3600.0
"""Seconds for which a token is shown that no worker has any longer."""

WINDOW = 60.0
"""Seconds over which the uses of an account are counted."""


class SeenToken(msgspec.Struct, frozen=True, array_like=True):
    """A Poe token of a worker, without its secret."""

    label: str
    account: str
    """Its account in Redis; the token's own id where it shares its limits with none."""
    batch: str
    """What a worker leases to use it."""
    rate_limit: int
    max_in_flight: int
    cool_down: float = 0.0
    """Seconds from one start to the next."""


class ReportTokens(Call[None], frozen=True):
    """Say which tokens a worker has."""

    script: ClassVar[str] = "report_tokens"

    tokens: Mapping[str, SeenToken]
    """By their ids."""

    def arguments(self) -> list[Word]:
        words: list[Word] = [milliseconds(SEEN_LIFE)]
        for id_, token in self.tokens.items():
            words += (id_, msgspec.msgpack.encode(token))
        return words

    def read(self, reply: Any) -> None:
        """There is nothing to read."""


class ReadTokensSeen(Call[dict[str, SeenToken]], frozen=True):
    """Read which tokens workers have, by their ids."""

    script: ClassVar[str] = "read_tokens_seen"

    def arguments(self) -> list[Word]:
        return []

    def read(self, reply: Any) -> dict[str, SeenToken]:
        seen = hash_of(reply)
        return {id_: msgspec.msgpack.decode(seen[id_], type=SeenToken) for id_ in seen}


class AccountUse(msgspec.Struct, frozen=True):
    """How a token and its account stand now. Times are in seconds."""

    parked: float = 0.0
    """For how long workers have set it aside; 0: they have not."""
    state: str = ""
    """Why, in a word."""
    reason: str = ""
    strikes: int = 0
    held: float = 0.0
    """For how long it is set aside by hand; 0: it is not, negative: until it is let go."""
    rests: float = 0.0
    """For how long its account starts nothing."""
    cools: float = 0.0
    """For how long since the account's last start it must not start another."""
    uses: int = 0
    """Starts of the account that its limit counts now."""
    in_flight: int = 0
    """Calls of the account that run."""
    points: int | None = None
    """The points that its account had left; None: nobody has looked."""
    looked: float = 0.0
    """How long ago that was."""
    worker: str = ""
    """Who has it; empty: nobody."""
    is_added: bool = False
    """Whether it was added at run time."""


class ReadUse(Call[list[AccountUse]], frozen=True):
    """Read how these tokens stand, in their order."""

    script: ClassVar[str] = "read_use"

    tokens: Sequence[tuple[str, SeenToken]]

    def arguments(self) -> list[Word]:
        words: list[Word] = [milliseconds(WINDOW)]
        for id_, seen in self.tokens:
            words += (id_, seen.account, seen.batch, milliseconds(seen.cool_down))
        return words

    def read(self, reply: Any) -> list[AccountUse]:
        return [_use(row) for row in reply]


def _use(row: Sequence[Any]) -> AccountUse:
    parked, state, reason, strikes, held, rests, cools, uses, in_flight, *rest = row
    points, looked, worker, is_added = rest
    return AccountUse(
        parked / 1000,
        state.decode(),
        reason.decode(),
        strikes,
        held / 1000,
        rests / 1000,
        cools / 1000,
        uses,
        in_flight,
        int(points) if points else None,
        looked / 1000,
        worker.decode(),
        bool(is_added),
    )
