"""Learns from the end of each call what its token can do."""

from __future__ import annotations

import logging
import random
import time

from contract.calls.tokens import TokenUpdate
from worker.balances import Balances
from worker.config import PoeToken
from worker.poe.faults import Fault
from worker.poe.limits import RateLimits
from worker.policy.token_penalties import (
    counts_as_strike,
    needs_proof,
    penalty_of,
    update_after_answer,
)
from worker.policy.token_pool import TokenPool

_log = logging.getLogger("worker.calls")


class TokenHealth:
    """What is held against the tokens of one worker."""

    def __init__(self, pool: TokenPool, balances: Balances) -> None:
        self._pool = pool
        self._balances = balances

    def after_answer(self, limits: RateLimits | None, token: PoeToken) -> TokenUpdate | None:
        """Heed an answer of Poe's, and return what all workers should know of the token."""
        is_well = self._pool.is_well(token.id)
        update = update_after_answer(limits, was_well=is_well)
        if update is not None and update.rest:
            self._pool.rest(token, time.monotonic() + update.rest)
        if not is_well:
            self._pool.unpark(token.id)
        return update

    async def after_fault(
        self, fault: Fault, model: str, token: PoeToken, began: float
    ) -> TokenUpdate | None:
        """Heed a fault of a call that `began` then; otherwise as `after_answer`."""
        proven = await self._proof(fault, token)
        now = time.monotonic()
        strikes = 0
        if counts_as_strike(fault, proven=proven is not None):
            strikes = self._pool.strike(token.id, began, now)
        update = penalty_of(
            proven or fault,
            model=model,
            strikes=strikes,
            luck=random.random(),  # noqa: S311
            proven=proven is not None,
        )
        if update is not None:
            self._apply(update, model, token, now)
        return update

    def _apply(self, update: TokenUpdate, model: str, token: PoeToken, now: float) -> None:
        if update.rest:
            self._pool.rest(token, now + update.rest)
        if update.park:
            self._pool.park(token.id, now + update.park, update.state)
            _log.error("%s is set aside: %s", token.label, update.reason)
        if update.unfit:
            self._pool.mark_unfit(token.id, model, now + update.unfit)

    async def _proof(self, fault: Fault, token: PoeToken) -> Fault | None:
        """Return what the token's own balance says is wrong with it, where that is in question."""
        if not needs_proof(fault.kind):
            return None
        kind = await self._balances.fault_of(token)
        if kind is None:
            return None
        # So it was no bot's invention.
        fault.in_band = False
        return Fault(kind)
