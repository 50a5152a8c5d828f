"""However grants, calls, deaths and freezes interleave: no account is ever used beyond its limits.

The witness is the list of the instants at which calls really left, as Poe would have seen them.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.support.machines import run_machine
from tests.support.scripts import Scripts

ACCOUNT_OF = {"t1": "a1", "t2": "a1", "t3": "a2"}
BATCHES = ["a1", "a2"]
WORKERS = ["w1", "w2", "w3"]

GUARD, GRANT_LIFE, LEASE_LIFE = 500, 5000, 3000
LESSONS = ["none", "none", "none", "rest", "park", "well"]


@dataclass(frozen=True)
class Profile:
    """The limits of all accounts; where one is loose, another is met more often."""

    rate: int = 1000
    cool_down: int = 0
    most: int = 1000
    window: int = 6000


PROFILES = [
    Profile(rate=3, cool_down=1000, most=2),
    Profile(rate=3),
    Profile(cool_down=1000),
    Profile(most=2),
]


@dataclass
class Call:
    """One use of a token, from its grant on."""

    grant: str
    token: str
    worker: str
    granted: int
    counted_until: int
    sent: int | None = None
    ended: bool = False

    @property
    def account(self) -> str:
        return ACCOUNT_OF[self.token]


@dataclass
class Worker:
    """What a worker believes of its leases, and whether it can act."""

    fences: dict[str, int] = field(default_factory=dict)
    frozen_until: int = 0


class Limits(RuleBasedStateMachine):
    """Workers that send anywhere inside the guard, tell of it late or never, freeze and die."""

    scripts: Scripts

    def __init__(self) -> None:
        super().__init__()
        self.scripts.redis.flushall()
        self.start = self.scripts.now
        self.limits = PROFILES[0]
        self.workers = {name: Worker() for name in WORKERS}
        self.calls: list[Call] = []
        self.sends: dict[str, list[int]] = {account: [] for account in BATCHES}
        self.rests: dict[str, int] = {}
        self.parked: dict[str, int] = {}
        self.count = 0

    @property
    def now(self) -> int:
        return self.scripts.now

    def _can_act(self, worker: str) -> bool:
        return self.workers[worker].frozen_until <= self.now

    def _mine(self, *, sent: bool) -> list[Call]:
        """The calls that a worker which can act could do something about."""
        return [
            call
            for call in self.calls
            if (call.sent is not None) is sent and self._can_act(call.worker)
        ]

    def _holders(self) -> list[tuple[str, str]]:
        """Workers that can act, with the tokens that they believe to hold."""
        return [
            (name, token)
            for name, worker in self.workers.items()
            for token, account in ACCOUNT_OF.items()
            if account in worker.fences and self._can_act(name)
        ]

    @initialize(limits=st.sampled_from(PROFILES))
    def all_begin(self, limits: Profile) -> None:
        self.limits = limits
        for worker in WORKERS:
            self._beat(worker)

    @rule(worker=st.sampled_from(WORKERS), leaving=st.sampled_from([False, False, False, True]))
    def beat(self, worker: str, leaving: bool) -> None:
        if self._can_act(worker):
            self._beat(worker, leaving)

    def _beat(self, worker: str, leaving: bool = False) -> None:
        fences = self.scripts.heartbeat(worker, BATCHES, life=LEASE_LIFE, leaving=leaving)
        self.workers[worker].fences = fences
        for call in self.calls:
            if call.worker == worker:
                call.counted_until = self.now + GRANT_LIFE
                self.scripts.extend(
                    call.grant, token=call.token, account=call.account, life=GRANT_LIFE
                )

    @precondition(lambda self: self._holders())
    @rule(data=st.data())
    def acquire(self, data: st.DataObject) -> None:
        self._acquire(data)

    @precondition(lambda self: self._holders())
    @rule(
        data=st.data(),
        after=st.sampled_from([0, 1, 100, GUARD - 1]),
        told=st.booleans(),
        lesson=st.sampled_from([None, None, None, *LESSONS]),
    )
    def make_a_call(self, data: st.DataObject, after: int, told: bool, lesson: str | None) -> None:
        call = self._acquire(data)
        if call is not None:
            self._pass(after)
            self._send(call)
            if told:
                self.scripts.sent(call.grant, self.now, call.account)
            if lesson is not None:
                self._end(call, lesson)

    @precondition(lambda self: self._holders())
    @rule(data=st.data())
    def acquire_as_soon_as_told(self, data: st.DataObject) -> None:
        worker, token = data.draw(st.sampled_from(self._holders()))
        account, fences = ACCOUNT_OF[token], self.workers[worker].fences
        for _ in range(3):
            self.count += 1
            grant = f"g{self.count}"
            reply = self._ask(grant, worker, token, fences[account])
            if reply[0] == "wait":
                self._pass(reply[1])
                self._beat(worker)
            elif reply[0] == "granted":
                call = Call(grant, token, worker, self.now, self.now + GRANT_LIFE)
                self.calls.append(call)
                self._send(call)
                self._end(call, "none")

    def _acquire(self, data: st.DataObject) -> Call | None:
        worker, token = data.draw(st.sampled_from(self._holders()))
        account, fences = ACCOUNT_OF[token], self.workers[worker].fences
        self.count += 1
        grant = f"g{self.count}"
        reply = self._ask(grant, worker, token, fences[account])
        if reply[0] == "granted":
            assert reply[1] == self.now
            assert self.rests.get(account, 0) <= self.now
            assert self.parked.get(token, 0) <= self.now
            call = Call(grant, token, worker, self.now, self.now + GRANT_LIFE)
            self.calls.append(call)
            return call
        if reply[0] == "wait":
            assert 0 < reply[1] <= self.limits.window + GUARD
        return None

    @precondition(lambda self: self._mine(sent=False))
    @rule(data=st.data())
    def repeat_after_a_lost_reply(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self._mine(sent=False)))
        fence = self.workers[call.worker].fences.get(call.account, 0)
        reply = self._ask(call.grant, call.worker, call.token, fence)
        assert reply[0] in ("granted", "wait", "parked", "lost")

    @precondition(lambda self: self._mine(sent=False))
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self._mine(sent=False)))
        if self.now < call.granted + GUARD:
            self._send(call)
        else:
            self._release(call, unused=True)

    def _send(self, call: Call) -> None:
        call.sent = self.now
        self.sends[call.account].append(self.now)

    @precondition(lambda self: self._mine(sent=True))
    @rule(data=st.data(), late=st.sampled_from([0, 1, 40]))
    def tell_that_it_was_sent(self, data: st.DataObject, late: int) -> None:
        call = data.draw(st.sampled_from(self._mine(sent=True)))
        assert call.sent is not None
        self.scripts.sent(call.grant, call.sent + late, call.account)

    @precondition(lambda self: self._mine(sent=True))
    @rule(data=st.data(), lesson=st.sampled_from(LESSONS))
    def end(self, data: st.DataObject, lesson: str) -> None:
        self._end(data.draw(st.sampled_from(self._mine(sent=True))), lesson)

    def _end(self, call: Call, lesson: str) -> None:
        rest, park = 1500 * (lesson == "rest"), {"park": 2500, "well": -1}.get(lesson, 0)
        self._release(call, rest=rest, park=park)
        if rest:
            until = max(self.rests.get(call.account, 0), self.now + rest)
            self.rests[call.account] = until
        if park:
            self.parked[call.token] = self.now + park

    @precondition(lambda self: self._mine(sent=False))
    @rule(data=st.data())
    def give_back_unused(self, data: st.DataObject) -> None:
        self._release(data.draw(st.sampled_from(self._mine(sent=False))), unused=True)

    @rule(worker=st.sampled_from(WORKERS), seconds=st.sampled_from([1, 4]))
    def freeze_for_a_while(self, worker: str, seconds: int) -> None:
        self.workers[worker].frozen_until = self.now + 1000 * seconds

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        """Its connections are closed; nobody tells Redis. Another one starts under its name."""
        self.workers[worker] = Worker()
        self.calls = [call for call in self.calls if call.worker != worker]

    @rule(ms=st.sampled_from([1, 50, GUARD, 999, 1000, 3000]))
    def pass_time(self, ms: int) -> None:
        self._pass(ms)

    @rule(ms=st.sampled_from([999, LEASE_LIFE - 1, LEASE_LIFE]))
    def pass_time_and_beat(self, ms: int) -> None:
        self._pass(ms)
        for worker in WORKERS:
            self.beat(worker, leaving=False)

    def _pass(self, ms: int) -> None:
        self.scripts.now += ms
        # A worker cuts its own calls before they are counted no longer.
        self.calls = [call for call in self.calls if call.counted_until > self.now]

    @invariant()
    def no_account_was_used_beyond_its_limits(self) -> None:
        for account, sends in self.sends.items():
            for earlier, later in pairwise(sends):
                assert later - earlier >= self.limits.cool_down
            for n, instant in enumerate(sends, 1):
                assert n - bisect_right(sends, instant - self.limits.window) <= self.limits.rate
            under_way = [c for c in self.calls if c.account == account and c.sent is not None]
            assert len(under_way) <= self.limits.most

    def teardown(self) -> None:
        """When all is quiet for long enough, every token can be had."""
        self.scripts.now += 2 * (self.limits.window + GRANT_LIFE)
        fences = self.scripts.heartbeat("last", BATCHES, life=LEASE_LIFE)
        for token, account in {"t1": "a1", "t3": "a2"}.items():
            assert self._ask(f"last-{token}", "last", token, fences[account])[0] == "granted"
        self.scripts.now = self.start

    def _ask(self, grant: str, worker: str, token: str, fence: int) -> list[Any]:
        account = ACCOUNT_OF[token]
        return self.scripts.acquire(
            grant,
            worker=worker,
            fence=fence,
            batch=account,
            token=token,
            account=account,
            rate=self.limits.rate,
            window=self.limits.window,
            cool_down=self.limits.cool_down,
            most=self.limits.most,
            guard=GUARD,
            life=GRANT_LIFE,
        )

    def _release(self, call: Call, *, unused: bool = False, rest: int = 0, park: int = 0) -> None:
        self.calls.remove(call)
        self.scripts.release(
            call.grant,
            token=call.token,
            account=call.account,
            unused=unused,
            rest=rest,
            park=park,
        )


@pytest.mark.timeout(120)
def test_no_account_is_used_beyond_its_limits_whatever_happens(scripts: Scripts) -> None:
    run_machine(Limits, scripts, examples=120, steps=60)
