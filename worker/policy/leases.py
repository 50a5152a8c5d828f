"""Which accounts this worker owns, and until when it can prove it.

Accounts are dealt into batches, and a batch is what a worker leases. The deal depends only on the
set of configured accounts, so workers with one config agree on it. Those with another list agree on
the accounts that they have in common, or, where there are too many for a batch each, have batches
of their own: then two may own an account, and no limit breaks, for Redis decides per account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

MAX_BATCHES = 128
"""Above this many accounts a batch holds several, so that a heartbeat takes Redis less than 1
ms."""


@dataclass(frozen=True)
class Lease:
    """A batch and the fence under which we hold it."""

    batch: str
    fence: int


def deal(accounts: Iterable[str]) -> dict[str, str]:
    """Deal accounts into batches of equal size (give or take one): account -> batch.

    The name of a batch says which accounts are in it, whoever else uses that name.
    """
    ordered = sorted(set(accounts))
    if len(ordered) <= MAX_BATCHES:
        return {account: account for account in ordered}
    deal_of = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]
    return {account: f"{deal_of}:{i % MAX_BATCHES}" for i, account in enumerate(ordered)}


class Leases:
    """The leases that this worker holds, by its last heartbeat."""

    def __init__(self, accounts: Iterable[str], *, life: float) -> None:
        self.batches: list[str] = []
        """All batches, whoever holds them."""
        self._batch_of: dict[str, str] = {}
        self._owned: set[str] = set()
        self._life = life
        self._fences: dict[str, int] = {}
        self._until = 0.0
        self.configure(accounts)

    def configure(self, accounts: Iterable[str]) -> None:
        """Have these accounts and no others; the leases that are held stay as they are."""
        self._batch_of = deal(accounts)
        self.batches = sorted(set(self._batch_of.values()))
        self._owned = self._owned_by(self._fences)

    def batch_of(self, account: str) -> str:
        """Return the batch that the account is in."""
        return self._batch_of[account]

    def renew(self, fences: dict[str, int], asked: float) -> set[str]:
        """Take the leases that a heartbeat sent at `asked` got; return the accounts we own."""
        if fences.keys() != self._fences.keys():
            self._owned = self._owned_by(fences)
        self._fences = fences
        self._until = asked + self._life
        return self._owned

    def lease(self, account: str, now: float) -> Lease | None:
        """Return the lease under which we may use an account now, if we can prove that we hold
        it."""
        batch = self._batch_of.get(account, "")
        fence = self._fences.get(batch)
        return Lease(batch, fence) if fence is not None and now < self._until else None

    def _owned_by(self, fences: dict[str, int]) -> set[str]:
        return {account for account, batch in self._batch_of.items() if batch in fences}
