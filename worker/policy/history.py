"""What a job has been through. The next worker that gets it repeats none of it."""

from __future__ import annotations

from collections.abc import Collection

from contract.messages import Failed
from worker.poe.faults import Blame, Fault, FaultKind, Reach, blame, to_failure
from worker.policy.retry import CORRECTED, ONCE, UNHEARD, Past
from worker.upstreams import UPSTREAMS


class History:
    """What has failed a job, and what it may have cost.

    `tried` has the ids of the tokens that have failed the job in their own right, the names of the
    upstreams that have refused it, and what it has had of `ONCE`. `upstream_failures` counts the
    attempts that the upstream has failed. `keyed`: the job has an idempotency key.
    """

    def __init__(
        self, tried: Collection[str] = (), upstream_failures: int = 0, *, keyed: bool = False
    ) -> None:
        self.tried = set(tried)
        self.upstream_failures = upstream_failures
        # To be asked for a correction, the model must have answered.
        self.may_be_charged = CORRECTED in self.tried
        """Whether Poe may have charged for a call of this job."""
        self._keyed = keyed

    @property
    def past(self) -> Past:
        """What the choice of the next step depends on."""
        return Past(
            upstream_failures=self.upstream_failures,
            tokens_tried=len(self.tried - UPSTREAMS.keys() - ONCE),
            had=ONCE & self.tried,
            keyed=self._keyed,
        )

    @property
    def is_corrected(self) -> bool:
        """Whether the model has been asked for another form of its answer."""
        return CORRECTED in self.tried

    def note(self, mark: str) -> None:
        """Note an upstream that has refused the job, or something that it may have once."""
        self.tried.add(mark)

    def note_reach(self, reach: Reach) -> None:
        """Note how far a call has come."""
        self.may_be_charged = self.may_be_charged or reach >= Reach.ANSWERED

    def note_given_up(self, reach: Reach) -> None:
        """Note that a call was given up which had come so far, and that the job may run again."""
        if reach is Reach.SENT:
            self.note(UNHEARD)

    def note_cost(self, fault: Fault) -> None:
        """Note whether Poe may have charged for the call that has failed."""
        self.may_be_charged = self.failure(fault).charged

    def note_fault(self, fault: Fault, token: str) -> None:
        """Note whose fault it was: that of the token with this id, or of the upstream."""
        if blame(fault.kind) is Blame.UPSTREAM:
            self.upstream_failures += 1
        # A rate-limited account rests for a while, and may then serve this very job.
        elif fault.kind is not FaultKind.RATE_LIMITED or fault.in_band:
            self.tried.add(token)

    def failure(self, fault: Fault) -> Failed:
        """Return what the client is told where this fault ends the job."""
        return to_failure(fault, output=self.may_be_charged)
