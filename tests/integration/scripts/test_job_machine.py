"""Whatever clients and workers do, and whoever dies: each job ends once, and the counters agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from contract.keys import choice
from contract.messages import Failed, Record, is_output, is_terminal
from tests.support.keys import keys
from tests.support.machines import run_machine
from tests.support.scripts import Given, Scripts, finished, started, text

CLIENTS = {"ann": 1.0, "bob": 2.0, "cat": 0.5}
WORKERS = ["w1", "w2", "w3"]
STATES = ("queued", "running", "again", "done")
LIFE = 6000
BLOBS = {"d1": b"x" * 5, "d2": b"y" * 30}

# XPENDING fails where there is no group yet.
_PENDING = """
local reply = redis.pcall('XPENDING', KEYS[1], 'workers')
return reply.err and 0 or reply[1]
"""


@dataclass
class Running:
    """What a worker believes to run; it may be wrong."""

    given: Given
    worker: str
    records: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Job:
    """What the outside knows of a job."""

    client: str
    deadline: int
    choices: int
    blobs: frozenset[str] = frozenset()
    cancelled: bool = False

    @property
    def size(self) -> int:
        """The bytes of its request, which say how many choices it wants."""
        return 10 * self.choices

    @property
    def stored(self) -> int:
        """The bytes that its client has to answer for, whoever else has the same blobs."""
        return self.size + sum(len(BLOBS[digest]) for digest in self.blobs)


@dataclass
class Seen:
    """What Redis holds; by job, by client, and in all."""

    states: dict[str, str]
    logs: dict[str, list[Record]]
    entries: dict[str, list[str]]
    tallies: dict[str, list[int]]
    pending: dict[str, int]
    owned: list[str]
    waiting: int
    ring: list[str]
    again: list[str]
    bytes: dict[str, int]
    bytes_in_all: int
    payloads: set[str]
    holders: dict[str, set[str]]
    """Of each blob that is stored."""


def _client(job: str) -> str:
    return job.partition(".")[0]


def _first(job: str) -> str:
    return job.partition("-")[0]


def _holding(jobs: dict[str, Job], firsts: set[str], digest: str) -> set[str]:
    return {f"of {first}" for first in firsts if digest in jobs[first].blobs}


def _assert_each_job_is_in_one_place(seen: Seen) -> None:
    in_state: dict[str, set[str]] = {state: set() for state in STATES}
    for job, state in seen.states.items():
        in_state[state].add(job)
    assert Counter(seen.owned) == Counter(in_state["running"])
    assert set(seen.again) == in_state["again"]
    for client in CLIENTS:
        theirs = {job for job in seen.states if _client(job) == client}
        assert Counter(seen.entries[client]) == Counter(theirs - in_state["done"])
        given_out = theirs & (in_state["running"] | in_state["again"])
        assert seen.pending[client] == len(given_out)


def _assert_the_counters_are_true(seen: Seen) -> None:
    for client in CLIENTS:
        count = Counter(state for job, state in seen.states.items() if _client(job) == client)
        unfinished = sum(count.values()) - count["done"]
        assert seen.tallies[client] == [count["queued"], count["running"], unfinished]
    assert seen.waiting == sum(state == "queued" for state in seen.states.values())
    assert set(seen.ring) == {_client(j) for j, state in seen.states.items() if state == "queued"}


def _assert_it_ends_at_most_once(state: str, log: list[Record], cancelled: bool) -> None:
    events = [event for record in log for event in record.events]
    ends = [event for event in events if is_terminal(event)]
    if state == "done":
        assert len(ends) == 1 or (cancelled and not ends)
        assert events[-1:] == ends or not ends
    else:
        assert ends == []


def _assert_one_worker_answered(log: list[Record]) -> None:
    answers = {
        record.epoch
        for record in log
        for event in record.events
        if is_output(event) and not isinstance(event, Failed)
    }
    assert len(answers) <= 1


class Jobs(RuleBasedStateMachine):
    """Clients and workers, some of which are dead without knowing it."""

    scripts: Scripts

    def __init__(self) -> None:
        super().__init__()
        self.scripts.redis.flushall()
        self.start = self.scripts.now
        self.jobs: dict[str, Job] = {}
        self.runs: list[Running] = []

    @property
    def now(self) -> int:
        return self.scripts.now

    # Clients.

    @rule(
        client=st.sampled_from(sorted(CLIENTS)),
        wait=st.sampled_from([500, 10_000, 100_000]),
        choices=st.integers(1, 3),
        blobs=st.frozensets(st.sampled_from(sorted(BLOBS))),
        named=st.booleans(),
    )
    def enqueue(
        self, client: str, wait: int, choices: int, blobs: frozenset[str], named: bool
    ) -> None:
        """`named`: the bytes of a blob that another request holds are not sent again."""
        first, job = f"{client}.{len(self.jobs)}", Job(client, self.now + wait, choices, blobs)
        there = set(self._look().holders) if named else set()
        reply = self.scripts.enqueue(
            *(first, client),
            wait=wait,
            weight=CLIENTS[client],
            most=8,
            most_bytes=100,
            choices=choices,
            payload="x" * job.size,
            size=job.stored,
            blobs={digest: b"" if digest in there else BLOBS[digest] for digest in blobs},
        )
        assert reply[0] in ("queued", "full", "heavy")
        if reply[0] == "queued":
            for number in range(choices):
                self.jobs[choice(first, number)] = replace(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def enqueue_again(self, data: st.DataObject) -> None:
        first = data.draw(st.sampled_from(sorted(map(_first, self.jobs))))
        job = self.jobs[first]
        reply = self.scripts.enqueue(first, job.client, choices=job.choices, payload="x" * job.size)
        assert reply[0] == "queued"

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        first = data.draw(st.sampled_from(sorted(map(_first, self.jobs))))
        names = [choice(first, number) for number in range(self.jobs[first].choices)]
        over = [name for name in names if self.scripts.state(name) == "done"]
        gone = self.scripts.withdraw(first, len(names))
        assert gone == (not over)
        for name in names if gone else ():
            self.jobs[name].cancelled = True

    @rule()
    def attend(self) -> None:
        self.scripts.heartbeat_of_gateway("another", life=1)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        if self.scripts.cancel(job) != "gone":
            self.jobs[job].cancelled = True

    # Workers.

    @rule(worker=st.sampled_from(WORKERS), n=st.integers(1, 4))
    def dispatch(self, worker: str, n: int) -> None:
        self.scripts.heartbeat(worker, life=LIFE)
        taken = self.scripts.dispatch(n, worker)
        assert len(taken) <= n
        for given in taken:
            assert self.now < self.jobs[given.id].deadline
            assert not self.jobs[given.id].cancelled
            assert given.payload == b"x" * self.jobs[given.id].size
            self.runs.append(Running(given, worker))

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), step=st.sampled_from(["started", "text", "finished"]))
    def append(self, data: st.DataObject, step: str) -> None:
        run = data.draw(st.sampled_from(self.runs))
        self._append(run, step, len(run.records) + 1)

    @precondition(lambda self: any(run.records for run in self.runs))
    @rule(data=st.data())
    def append_the_last_again(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs if run.records]))
        before = self.scripts.log(run.given.id)
        name, seq = run.records[-1]
        self.scripts.append(_STEPS[name](run.given, seq=seq))
        assert self.scripts.log(run.given.id) == before

    @precondition(lambda self: self.runs)
    @rule(
        data=st.data(),
        delay=st.sampled_from([0, 700]),
        leave=st.booleans(),
    )
    def requeue(self, data: st.DataObject, delay: int, leave: bool) -> None:
        run = data.draw(st.sampled_from(self.runs))
        if any(name != "started" for name, _ in run.records):
            return
        self.runs.remove(run)
        self.scripts.requeue(run.given, run.worker, delay=delay, leave=leave)
        assert self.scripts.append(started(run.given, seq=len(run.records) + 1)) == [2]

    @rule(worker=st.sampled_from(WORKERS), leaving=st.booleans())
    def beat(self, worker: str, leaving: bool) -> None:
        self.scripts.heartbeat(worker, life=LIFE, leaving=leaving)

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        self.runs = [run for run in self.runs if run.worker != worker]

    @rule()
    def reclaim(self) -> None:
        self.scripts.reclaim()

    @rule(ms=st.sampled_from([1, 499, 2000, LIFE]))
    def pass_time(self, ms: int) -> None:
        self.scripts.now += ms

    # The truth.

    @invariant()
    def all_is_well(self) -> None:
        seen = self._look()
        _assert_each_job_is_in_one_place(seen)
        _assert_the_counters_are_true(seen)
        self._assert_what_is_stored_is_needed_and_counted(seen)
        for job, state in seen.states.items():
            _assert_it_ends_at_most_once(state, seen.logs[job], self.jobs[job].cancelled)
            _assert_one_worker_answered(seen.logs[job])

    def _assert_what_is_stored_is_needed_and_counted(self, seen: Seen) -> None:
        needed = {_first(job) for job, state in seen.states.items() if state != "done"}
        assert seen.payloads == needed
        for client in CLIENTS:
            theirs = [self.jobs[first].stored for first in needed if _client(first) == client]
            assert seen.bytes[client] == sum(theirs) <= 100
        assert seen.bytes_in_all == sum(seen.bytes.values())
        holders = {digest: _holding(self.jobs, needed, digest) for digest in BLOBS}
        assert seen.holders == {digest: held for digest, held in holders.items() if held}

    def teardown(self) -> None:
        """In the end there is one worker, who finishes everything; then nothing is left."""
        self.scripts.now += 2 * LIFE
        self.scripts.heartbeat("last")
        self.scripts.reclaim()
        while taken := self.scripts.dispatch(9, "last"):
            self.scripts.append(*[finished(given) for given in taken])
        self.all_is_well()
        assert set(self._look().states.values()) <= {"done"}
        self.scripts.heartbeat("last", leaving=True)
        lasting = {keys.totals, keys.dead, keys.ledger}
        lasting |= {*map(keys.client, CLIENTS), *map(keys.jobs, CLIENTS)}
        assert self.scripts.lasting_keys() <= lasting
        self.scripts.now = self.start

    def _look(self) -> Seen:
        """All that there is, in one look."""
        with self.scripts.redis.pipeline(transaction=False) as pipe:
            for job in self.jobs:
                pipe.hget(keys.job(job), "state")
                pipe.xrange(keys.log(job))
            for client in CLIENTS:
                pipe.xrange(keys.jobs(client))
                pipe.hmget(keys.client(client), ["waiting", "running", "open"])
                pipe.eval(_PENDING, 1, keys.jobs(client))
            for worker in WORKERS:
                pipe.smembers(keys.owned(worker))
            pipe.hget(keys.totals, "waiting")
            pipe.zrange(keys.ring, 0, -1)
            pipe.zrange(keys.again, 0, -1)
            pipe.hget(keys.totals, "bytes")
            pipe.zrange(keys.payloads, 0, -1)
            pipe.keys(keys.payload("*"))
            for client in CLIENTS:
                pipe.hget(keys.client(client), "bytes")
            for digest in BLOBS:
                pipe.hgetall(keys.blob(digest))
            pipe.zrange(keys.blobs, 0, -1)
            replies = iter(pipe.execute())
        states, logs = {}, {}
        for job in self.jobs:
            states[job] = next(replies).decode()
            logs[job] = [_decode(fields[b"r"]) for _, fields in next(replies)]
        entries, tallies, pending = {}, {}, {}
        for client in CLIENTS:
            entries[client] = _texts(fields[b"id"] for _, fields in next(replies))
            tallies[client] = [int(count or 0) for count in next(replies)]
            pending[client] = next(replies)
        owned = [job for _ in WORKERS for job in _texts(next(replies))]
        waiting = int(next(replies) or 0)
        ring, again = _texts(next(replies)), _texts(next(replies))
        in_all = int(next(replies) or 0)
        payloads, stored = set(_texts(next(replies))), set(_texts(next(replies)))
        assert stored == {keys.payload(first) for first in payloads}
        of_clients = {client: int(next(replies) or 0) for client in CLIENTS}
        holders = {digest: set(_texts(next(replies))) for digest in BLOBS}
        holders = {digest: fields - {"data"} for digest, fields in holders.items() if fields}
        assert set(_texts(next(replies))) == set(holders)
        return Seen(
            *(states, logs, entries, tallies, pending, owned, waiting, ring, again),
            *(of_clients, in_all, payloads, holders),
        )

    def _append(self, run: Running, name: str, seq: int) -> None:
        """What a worker does: it stops when it hears that it must, and after the last record."""
        (verdict,) = self.scripts.append(_STEPS[name](run.given, seq=seq))
        run.records.append((name, seq))
        if verdict == 2:
            assert self.scripts.log(run.given.id)[-1:] != [_STEPS[name](run.given, seq=seq)]
            self.runs.remove(run)


_STEPS: dict[str, Callable[..., Record]] = {"started": started, "text": text, "finished": finished}
_decode = msgspec.msgpack.Decoder(Record).decode


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode() for value in values]


@pytest.mark.timeout(120)
def test_each_job_ends_once_and_the_counters_agree_whoever_dies(scripts: Scripts) -> None:
    run_machine(Jobs, scripts, examples=100, steps=40)
