"""Whoever dies and whatever is corrected: no point is lost, and none is spent or reserved twice."""

from __future__ import annotations

from collections import Counter as Tally
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from contract.budgets import Budget
from contract.calls.budgets import ReadCounters
from contract.calls.gateway import Billing
from contract.calls.ledger import Correct, ReadLedger
from contract.calls.worker import Append
from contract.keys import choice
from contract.ledger import Correction, Cost, Request
from tests.support.keys import keys
from tests.support.machines import run_machine
from tests.support.scripts import START, Given, Scripts, finished, text

DAY = 24 * 3600 * 1000
LIFE = 6000
WORKERS = ["w1", "w2"]
TEAM = Budget("group:lab:total", 250, 0, "group", "lab", "total", "the group's budget")
BUDGETS = {
    "ann": (Budget("key:ann:day:1", 100, START + DAY, "key", "ann", "day", "ann's"), TEAM),
    "bob": (Budget("key:bob:total", 200, 0, "key", "bob", "total", "bob's"), TEAM),
    "cat": (),
}
LIMITS = {budget.counter: budget.limit for budgets in BUDGETS.values() for budget in budgets}


@dataclass
class Run:
    """A job that a worker runs, or thinks that it does."""

    given: Given
    worker: str
    records: int = 0


class Budgets(RuleBasedStateMachine):
    """Clients with budgets, workers that die, and a history that corrects what was settled."""

    scripts: Scripts

    def __init__(self) -> None:
        super().__init__()
        self.scripts.redis.flushall()
        self.start = self.scripts.now
        self.jobs: dict[str, tuple[str, int]] = {}
        """The client and the estimate of each."""
        self.runs: list[Run] = []
        self.grants = self.queries = 0

    @rule(
        client=st.sampled_from(sorted(BUDGETS)),
        points=st.sampled_from([0, 10, 40, 90]),
        choices=st.integers(1, 2),
        wait=st.sampled_from([500, 100_000]),
    )
    def enqueue(self, client: str, points: int, choices: int, wait: int) -> None:
        first, budgets = f"{client}.{len(self.jobs)}", BUDGETS[client]
        billing = Billing(client, "lab", "gpt", points, budgets)
        reply = self.scripts.enqueue(
            first, client, wait=wait, choices=choices, billing=billing, model="Bot"
        )
        spent = self._counts()
        # What costs nothing always fits, also where more is spent than there was.
        fits = not points or all(spent[b.counter][0] + points * choices <= b.limit for b in budgets)
        assert reply[0] == ("queued" if fits else "short")
        if fits:
            self.jobs |= {choice(first, n): (client, points) for n in range(choices)}

    @rule(worker=st.sampled_from(WORKERS), n=st.integers(1, 4))
    def dispatch(self, worker: str, n: int) -> None:
        self.scripts.heartbeat(worker, ["b"], life=LIFE)
        for given in self.scripts.dispatch(n, worker):
            self.runs.append(Run(given, worker))

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def call(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        fence = self.scripts.heartbeat(run.worker, ["b"], life=LIFE).get("b", 0)
        self.grants += 1
        self.scripts.acquire(
            f"{self.grants}",
            worker=run.worker,
            fence=fence,
            job=run.given.id,
            epoch=run.given.epoch,
        )

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        run.records += 1
        if self.scripts.append(text(run.given, seq=run.records)) == [2]:
            self.runs.remove(run)

    @precondition(lambda self: self.runs)
    @rule(
        data=st.data(),
        cost=st.sampled_from([None, Cost(), Cost(1, 0, 5), Cost(1, 0, 60), Cost(2, 1, 5)]),
        twice=st.booleans(),
    )
    def finish(self, data: st.DataObject, cost: Cost | None, twice: bool) -> None:
        """`twice`: the reply to the first is lost."""
        run = data.draw(st.sampled_from(self.runs))
        self.runs.remove(run)
        costs = {run.given.id: cost} if cost else {}
        for _ in range(1 + twice):
            self.scripts.run(Append([finished(run.given, seq=run.records + 1)], costs=costs))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), tried=st.sampled_from(["", "unheard"]))
    def requeue(self, data: st.DataObject, tried: str) -> None:
        run = data.draw(st.sampled_from(self.runs))
        if run.records == 0:
            self.runs.remove(run)
            self.scripts.requeue(run.given, run.worker, tried=tried)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.scripts.cancel(data.draw(st.sampled_from(sorted(self.jobs))))

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        self.runs = [run for run in self.runs if run.worker != worker]

    @rule()
    def reclaim(self) -> None:
        self.scripts.reclaim()

    @rule()
    def attend(self) -> None:
        self.scripts.heartbeat_of_gateway("another", life=1)

    @rule(ms=st.sampled_from([1, 499, LIFE, 61_000]))
    def pass_time(self, ms: int) -> None:
        self.scripts.now += ms

    @precondition(lambda self: self._requests())
    @rule(data=st.data(), share=st.sampled_from([-1, 0, 2]), twice=st.booleans())
    def correct(self, data: st.DataObject, share: int, twice: bool) -> None:
        """Poe says that a request has cost nothing, what was settled, or three times as much."""
        request = data.draw(st.sampled_from(self._requests()))
        if request.job in self._corrected():
            return
        points = request.settled * share
        self.queries += 1
        made = Correction(job=request.job, points=points, query=f"q{self.queries}")
        news = [self.scripts.run(Correct(made, request.budgets)) for _ in range(1 + twice)]
        assert news == [True, False][: 1 + twice]

    @invariant()
    def all_points_are_accounted_for(self) -> None:
        ledger, counts = self._ledger(), self._counts()
        requests = {r.job: r for r in ledger if isinstance(r, Request)}
        spent: Tally[str] = Tally()
        for record in ledger:
            of = record if isinstance(record, Request) else requests[record.job]
            points = record.settled if isinstance(record, Request) else record.points
            spent.update(dict.fromkeys(of.budgets, points))
        reserved: Tally[str] = Tally()
        for job in self.jobs:
            if self._field(job, "state") != b"done" and (packed := self._field(job, "reserved")):
                _, points, counters = msgspec.msgpack.decode(packed)
                reserved.update(dict.fromkeys(counters, points))
        for counter in LIMITS:
            assert counts[counter] == (spent[counter], reserved[counter])
            assert min(counts[counter]) >= 0
            self._assert_no_more_is_spent_than_was_misjudged(counter, counts[counter], ledger)

    def _assert_no_more_is_spent_than_was_misjudged(
        self, counter: str, counts: tuple[int, int], ledger: list[Request | Correction]
    ) -> None:
        requests = {r.job: r for r in ledger if isinstance(r, Request)}
        errors = sum(
            max(r.settled - r.estimated, 0) if isinstance(r, Request) else max(r.points, 0)
            for r in ledger
            if counter in requests[r.job].budgets
        )
        assert sum(counts) <= LIMITS[counter] + errors

    @invariant()
    def each_job_that_has_ended_is_written_down_once(self) -> None:
        ended = [job for job in self.jobs if self._field(job, "state") == b"done"]
        assert sorted(request.job for request in self._requests()) == sorted(ended)

    def teardown(self) -> None:
        """In the end nothing is reserved, and what is left can be spent."""
        self.scripts.now += 2 * LIFE
        self.scripts.heartbeat("last", life=10**9)
        self.scripts.reclaim()
        for _ in range(len(self.jobs) + 1):
            self.scripts.now += 4001
            taken = self.scripts.dispatch(9, "last")
            self.scripts.append(*[finished(given) for given in taken])
        self.all_points_are_accounted_for()
        assert all(self._field(job, "state") == b"done" for job in self.jobs)
        assert not self.scripts.redis.keys(keys.short("*"))
        assert not self.scripts.redis.exists(keys.reservations)
        for client, budgets in BUDGETS.items():
            counts = self._counts()
            left = min((b.limit - counts[b.counter][0] for b in budgets), default=0)
            billing = Billing(client, "lab", "gpt", max(left, 0), budgets)
            if left >= 0:
                self.scripts.enqueue(f"{client}.last", client, billing=billing)
                assert [g.id for g in self.scripts.dispatch(1, "last")] == [f"{client}.last"]
                self.scripts.cancel(f"{client}.last")
                self.scripts.reclaim()
                self.scripts.append(finished(Given(f"{client}.last", 1, 1, 0, "", 0)))
        self.scripts.now = self.start

    def _ledger(self) -> list[Request | Correction]:
        return [record for _, record in self.scripts.run(ReadLedger())]

    def _requests(self) -> list[Request]:
        return [record for record in self._ledger() if isinstance(record, Request)]

    def _corrected(self) -> set[str]:
        return {record.job for record in self._ledger() if isinstance(record, Correction)}

    def _counts(self) -> dict[str, tuple[int, int]]:
        found = self.scripts.run(ReadCounters(list(LIMITS)))
        return {c: (f.spent, f.reserved) for c, f in zip(LIMITS, found, strict=True)}

    def _field(self, job: str, name: str) -> bytes | None:
        value: bytes | None = self.scripts.redis.hget(keys.job(job), name)
        return value


@pytest.mark.timeout(120)
def test_no_point_is_lost_or_counted_twice_whoever_dies(scripts: Scripts) -> None:
    run_machine(Budgets, scripts, examples=40, steps=30)
