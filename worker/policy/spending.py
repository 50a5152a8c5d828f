"""What the calls of a job may have cost. Pure."""

from __future__ import annotations

from collections.abc import Collection

from contract.ledger import Cost
from contract.messages import Usage
from contract.prices import Price
from worker.poe.faults import Fault, Reach, is_refusal
from worker.policy.retry import ONCE

MOST_TOKENS = 10**12
"""No call counts as more, whatever the upstream says: scripts and readers of the ledger take what
doubles hold exactly."""


class Spending:
    """Adds up the calls of one job.

    `price` is the model's, None where it is not known. `tried` has what the job has had before:
    each of `ONCE` followed a call for which Poe may have charged.
    """

    def __init__(self, price: Price | None, tried: Collection[str] = ()) -> None:
        self._price = price
        earlier = len(ONCE & set(tried))
        self._sum = Cost(calls=earlier, unpriced=earlier)
        self._reach = Reach.UNSENT
        self._usage: Usage | None = None

    def reach(self, reach: Reach) -> None:
        """Note how far the present call has come."""
        self._reach = reach

    def count(self, usage: Usage) -> None:
        """Note the token counts of the present call."""
        self._usage = usage

    def end_call(self, fault: Fault | None = None) -> None:
        """The present call has ended, and another may follow. `fault` is why it has failed."""
        is_free = fault is not None and fault.reach is not Reach.BEGUN and is_refusal(fault.kind)
        if not is_free:
            self._sum = self.cost
        self._reach, self._usage = Reach.UNSENT, None

    @property
    def cost(self) -> Cost:
        """What all calls cost so far, the present one included."""
        if self._reach in (Reach.UNSENT, Reach.REFUSED):
            return self._sum
        points, usage, total = self._points(), self._usage or Usage(0, 0), self._sum
        return Cost(
            calls=total.calls + 1,
            unpriced=total.unpriced + (points is None),
            points=total.points + (points or 0),
            basis="flat" if self._price is not None and self._price.is_flat else "usage",
            prompt_tokens=_sum(total.prompt_tokens, usage.prompt_tokens),
            completion_tokens=_sum(total.completion_tokens, usage.completion_tokens),
            cached_tokens=_sum(total.cached_tokens, usage.cached_tokens or 0),
        )

    def _points(self) -> int | None:
        """Return what the present call costs, if that is known."""
        price, usage = self._price, self._usage
        if price is None:
            return None
        if usage is not None:
            return price.points(
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                usage.written_tokens,
            )
        return price.points(0, 0) if price.is_flat else None


def _sum(*tokens: int) -> int:
    return min(sum(tokens), MOST_TOKENS)
