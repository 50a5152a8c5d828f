"""TokenPool, in any order of events, against the plain truth of what was done with each token."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contract.messages import TokenCounts
from tests.unit.worker_policy.pool import token
from worker.config import PoeToken
from worker.policy.token_pool import NEVER, WINDOW, TokenPool, Wait, margin

MODELS = ["Big", "Small"]
LIMITS = {"rate_limit": 3, "cool_down": 2.0, "max_in_flight": 2}
TOKENS = [
    token("t1", "shared", **LIMITS),  # type: ignore[arg-type]
    token("t2", "shared", **LIMITS),  # type: ignore[arg-type]
    token("t3", "rated", rate_limit=2),
    token("t4", "narrow", max_in_flight=1),
]
ACCOUNTS = sorted({token.account for token in TOKENS})


@dataclass
class Use:
    """One call, or what may become one."""

    token: PoeToken
    at: float
    sent: bool = False


class Pool(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pool = TokenPool(TOKENS)
        self.now = 1000.0
        self.owned: set[str] = set()
        self.open: list[Use] = []
        self.starts: dict[str, list[Use]] = {account: [] for account in ACCOUNTS}
        self.rests: dict[str, float] = {}
        self.parked: dict[str, float] = {}
        self.unfit: dict[tuple[str, str], float] = {}
        self.last_sent: dict[str, float] = {}

    # The plain truth.

    def ready_at(self, token: PoeToken, model: str) -> float:
        """The first instant at which nothing speaks against a call, if nothing else happens."""
        if sum(use.token.account == token.account for use in self.open) >= token.max_in_flight:
            return NEVER
        instants = [
            self.rests.get(token.account, 0.0),
            self.parked.get(token.id, 0.0),
            self.unfit.get((token.id, model), 0.0),
        ]
        starts = [use.at for use in self.starts[token.account]]
        if starts:
            instants.append(starts[-1] + token.cool_down + margin(token.cool_down))
        if len(starts) >= token.rate_limit:
            instants.append(starts[-token.rate_limit] + WINDOW + margin(WINDOW))
        return max(instants)

    def best(self, model: str, tried: set[str]) -> PoeToken | Wait:
        """What the pool must answer, found by looking at all tokens."""
        ready = {t.id: self.ready_at(t, model) for t in self.candidates(tried)}
        able = [t for t in self.candidates(tried) if ready[t.id] <= self.now]
        if not able:
            return Wait(min(ready.values(), default=NEVER))
        in_flight = Counter(use.token.account for use in self.open)
        return min(able, key=lambda t: (in_flight[t.account], self.last_sent.get(t.id, -NEVER)))

    def candidates(self, tried: set[str]) -> list[PoeToken]:
        return [t for t in TOKENS if t.account in self.owned and t.id not in tried]

    # What may happen.

    @initialize(accounts=st.sets(st.sampled_from(ACCOUNTS), min_size=2))
    def begin(self, accounts: set[str]) -> None:
        self.own(accounts)

    @rule(accounts=st.sets(st.sampled_from(ACCOUNTS)))
    def own(self, accounts: set[str]) -> None:
        new = self.pool.own(accounts)
        assert {t.account for t in new} == accounts - self.owned
        self.owned = set(accounts)

    @rule(
        model=st.sampled_from(MODELS),
        tried=st.sets(st.sampled_from([t.id for t in TOKENS]), max_size=2),
    )
    def acquire(self, model: str, tried: set[str]) -> None:
        expected = self.best(model, tried)
        found = self.pool.acquire(self.now, model=model, tried=tried)
        assert found == expected
        if isinstance(found, PoeToken):
            use = Use(found, self.now)
            self.open.append(use)
            self.starts[found.account].append(use)

    @rule(model=st.sampled_from(MODELS))
    def wait_as_told(self, model: str) -> None:
        found = self.pool.acquire(self.now, model=model)
        if isinstance(found, PoeToken):
            self.pool.cancel(found)
        elif found.until < NEVER:
            just_before = math.nextafter(found.until, 0)
            assert self.pool.acquire(just_before, model=model) == Wait(found.until)
            self.now = found.until
            due = self.pool.acquire(self.now, model=model)
            assert isinstance(due, PoeToken)
            self.pool.cancel(due)

    def _last(self) -> Use | None:
        """The latest use; a worker gives tokens back in the reverse order."""
        return self.open[-1] if self.open and not self.open[-1].sent else None

    @precondition(lambda self: self._last())
    @rule(after=st.sampled_from([0.0, 0.5]))
    def send(self, after: float) -> None:
        use = self.open[-1]
        if use is not self.starts[use.token.account][-1]:
            return
        self.now += after
        use.at, use.sent = self.now, True
        self.last_sent[use.token.id] = self.now
        self.pool.sent(use.token, self.now)

    @precondition(lambda self: self._last())
    @rule(pause=st.sampled_from([None, 1.0]))
    def give_back(self, pause: float | None) -> None:
        use = self.open.pop()
        self.starts[use.token.account].remove(use)
        if pause is None:
            self.pool.cancel(use.token)
        else:
            self.pool.refuse(use.token, self.now + pause)
            self._rest(use.token, pause)

    @precondition(lambda self: any(use.sent for use in self.open))
    @rule(data=st.data(), rest=st.sampled_from([0.0, 0.0, 10.0]))
    def end(self, data: st.DataObject, rest: float) -> None:
        use = data.draw(st.sampled_from([use for use in self.open if use.sent]))
        self.open.remove(use)
        self.pool.release(use.token)
        if rest:
            self.pool.rest(use.token, self.now + rest)
            self._rest(use.token, rest)

    def _rest(self, token: PoeToken, seconds: float) -> None:
        until = max(self.rests.get(token.account, 0.0), self.now + seconds)
        self.rests[token.account] = until

    @rule(token=st.sampled_from(TOKENS), seconds=st.sampled_from([5.0, 900.0]))
    def park(self, token: PoeToken, seconds: float) -> None:
        self.pool.park(token.id, self.now + seconds, "no points")
        self.parked[token.id] = self.now + seconds

    @rule(token=st.sampled_from(TOKENS))
    def unpark(self, token: PoeToken) -> None:
        self.pool.unpark(token.id)
        self.parked.pop(token.id, None)

    @rule(token=st.sampled_from(TOKENS), model=st.sampled_from(MODELS))
    def mark_unfit(self, token: PoeToken, model: str) -> None:
        self.pool.mark_unfit(token.id, model, self.now + 30)
        self.unfit[token.id, model] = self.now + 30

    @rule(seconds=st.sampled_from([0.01, 1.0, 2.04, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def every_owned_token_is_counted_once(self) -> None:
        counts = self.pool.counts(self.now)
        total = sum(getattr(counts, name) for name in TokenCounts.__struct_fields__)
        assert total == len(self.candidates(set()))
        assert self.pool.is_any_free(self.now) == (counts.free > 0)
        assert counts.free == sum(self.ready_at(t, "") <= self.now for t in self.candidates(set()))
        healthy = {
            t.account: min(t.rate_limit / WINDOW, 1 / t.cool_down if t.cool_down else NEVER)
            for t in self.candidates(set())
            if self.parked.get(t.id, 0.0) <= self.now
        }
        assert math.isclose(self.pool.capacity(self.now), sum(healthy.values()))


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
