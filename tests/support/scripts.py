"""The scripts of the contract, called as gateways and workers call them, at an instant of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import msgspec
from redis import Redis

from contract import keys, scripts
from contract.messages import (
    Event,
    Failed,
    FailureKind,
    Finished,
    Record,
    Started,
    Text,
    is_terminal,
)
from worker.queue import mark

START = 1_700_000_000_000
"""What the clock says at first, in milliseconds."""

LIFE = 600_000
"""Milliseconds for which everything that ends stays readable."""

NAMES = tuple(
    sorted(
        path.name.removesuffix(".lua")
        for path in (files("contract") / "lua").iterdir()
        if path.name != "lib.lua"
    )
)
"""Every script that there is."""

SPARE = 24 * 3600 * 1000
"""Milliseconds for which what limits count is kept beyond its time; see lib.lua."""

MOST_LOOKED_AT = 1000
"""Keys up to which all are looked at after each script."""

# Time passes for keys that expire as well; but not for strings, whose lives are so short that the
# time which a test takes would tell.
_AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local life = redis.call('PTTL', key)
  if life >= 0 and redis.call('TYPE', key).ok ~= 'string' then
    redis.call('PEXPIRE', key, life - ARGV[1])
  end
end
"""

# Whatever has an end must outlive all that is in it, and a job's keys the job.
_SHORT_LIVED = """
local now, spare, found = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for _, key in ipairs(redis.call('KEYS', 'p2g:*')) do
  local life = redis.call('PTTL', key)
  if life >= 0 and redis.call('TYPE', key).ok == 'zset' then
    local needed = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] - now
    if string.find(key, '^p2g:uses:') or string.find(key, '^p2g:grants:') then
      needed = needed + spare
    end
    if life < needed - 1000 then found[#found + 1] = key end
  end
  local job = string.match(key, '^p2g:log:({.*})$') or string.match(key, '^p2g:readers:({.*})$')
  if job and life < redis.call('PTTL', 'p2g:job:' .. job) - 1000 then found[#found + 1] = key end
end
return found
"""

UNFINISHED_LIFE = 86_400_000
"""Milliseconds after which an unfinished job is forgotten."""

KEPT = 700_000
"""Milliseconds for which the answer of a job that may be resumed is kept."""

CLAIM_LIFE = 60_000
"""Milliseconds within which a claimed job must be queued."""

IDEM = keys.idempotency("ann", "digest")

_encode = msgspec.msgpack.encode


def _terminal(message: str) -> bytes:
    return _encode((Failed(FailureKind.INTERRUPTED, message),))


TOO_LATE, INTERRUPTED, DEADLY = (_terminal(m) for m in ("too late", "interrupted", "deadly"))


@dataclass(frozen=True)
class Given:
    """A job as `dispatch` gives it."""

    id: str
    epoch: int
    attempt: int
    waited: int
    tried: str
    failures: int
    keyed: bool = False
    payload: bytes = field(default=b"", compare=False)


class Scripts:
    """All scripts on one Redis; `now` is the clock that they see."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self._now = START
        self._script = {name: redis.register_script(scripts.source(name)) for name in NAMES}

    @property
    def now(self) -> int:
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        if now > self._now:
            self.redis.eval(_AGE, 0, now - self._now)
        self._now = now

    def _run(self, name: str, *args: Any) -> Any:
        """Run a script, and see that what it has left will not be forgotten too soon."""
        reply = self._script[name](args=[self.now, *args])
        if self.redis.dbsize() <= MOST_LOOKED_AT:
            assert self.redis.eval(_SHORT_LIVED, 0, self.now, SPARE) == [], name
        return reply

    def enqueue(
        self,
        job: str,
        client: str = "ann",
        *,
        gateway: str = "g1",
        wait: int = 60_000,
        weight: float = 1,
        most: int = 1000,
        most_in_all: int = 10_000,
        unfinished: int | str = "",
        per_minute: int | str = "",
        not_after: int | str = "",
        reader: str = "",
        grace: int = 60_000,
        model: str = "",
        choices: int = 1,
        payload: str | bytes | None = None,
        size: int | None = None,
        most_bytes: int = 1_000_000,
        most_bytes_in_all: int = 1_000_000,
    ) -> list[Any]:
        """Returns the reply, its first element as text. The payload begins as a job does.

        With a reader, the job may be resumed under the idempotency key `IDEM`.
        """
        resumable = [reader, grace, KEPT, IDEM] if reader else []
        payload = _encode([job, client, model]) if payload is None else payload
        reply = self._run(
            *("enqueue", job, client, gateway, payload, wait, weight),
            *(most, most_in_all, UNFINISHED_LIFE, unfinished, per_minute, not_after, choices),
            *(len(payload) if size is None else size, most_bytes, most_bytes_in_all, *resumable),
        )
        return [reply[0].decode(), *reply[1:]]

    def attend(self, gateway: str = "g1", life: int = 15_000) -> None:
        self._run("attend", gateway, life)

    def withdraw(self, job: str, choices: int = 1, reader: str = "", gateway: str = "g1") -> int:
        resumable = [gateway, reader, IDEM] if reader else []
        reply: int = self._run("withdraw", job, choices, LIFE, *resumable)
        return reply

    def dispatch(self, n: int = 1, worker: str = "w1", **room: int) -> list[Given]:
        """`room` says for how many jobs of a model there is a key that is fit."""
        limits = [word for pair in room.items() for word in pair]
        rows = self._run("dispatch", worker, n, LIFE, TOO_LATE, *limits)
        return [
            Given(row[-1].decode(), *row[1:4], row[4].decode(), row[5], bool(row[6]), row[0])
            for row in rows
        ]

    def append(self, *records: Record) -> list[int]:
        args: list[Any] = []
        for record in records:
            args += [record.job, record.epoch, record.seq, mark(record), _encode(record)]
        verdicts: list[int] = self._run("append", LIFE, *args)
        return verdicts

    def claim(self, job: str, body: str = "body") -> str | None:
        """The job that has the idempotency key `IDEM`, if it is for this body."""
        reply = self._run("claim", IDEM, body, job, 1_700_000_000, CLAIM_LIFE)
        return reply[0].decode() if reply else None

    def cancel(self, job: str) -> str:
        reply: str = self._run("cancel", job, LIFE).decode()
        return reply

    def leave(
        self, job: str, reader: str = "r1", *, gateway: str = "g1", at_once: bool = False
    ) -> str:
        """A reader of a job that may be resumed goes."""
        reply: str = self._run("cancel", job, LIFE, gateway, reader, int(at_once), IDEM).decode()
        return reply

    def handback(
        self,
        given: Given,
        worker: str = "w1",
        *,
        delay: int = 0,
        tried: str = "",
        leave: bool = False,
        failures: int = 0,
    ) -> int:
        reply: int = self._run(
            *("handback", worker, given.id, given.epoch, delay, tried, LIFE),
            *(worker if leave else "", failures, INTERRUPTED),
        )
        return reply

    def reclaim(self, most_deaths: int = 2) -> list[str]:
        dead = self._run("reclaim", most_deaths, LIFE, INTERRUPTED, DEADLY, TOO_LATE)
        return [worker.decode() for worker in dead]

    def beat(
        self,
        worker: str = "w1",
        batches: Iterable[str] = (),
        *,
        life: int = 6000,
        leaving: bool = False,
    ) -> dict[str, int]:
        """The batches that the worker holds now, with their fences."""
        rows = self._run("beat", worker, life, int(leaving), b"report", *batches)
        return {batch.decode(): fence for batch, fence in rows}

    def acquire(
        self,
        grant: str,
        *,
        worker: str = "w1",
        fence: int = 1,
        batch: str = "b",
        token: str = "t",
        account: str = "a",
        rate: int = 100,
        window: int = 60_000,
        cool_down: int = 0,
        most: int = 100,
        guard: int = 200,
        life: int = 60_000,
        job: str = "j",
        epoch: int = 1,
        others: Iterable[str] = (),
    ) -> list[Any]:
        """`others` are the other tokens of the account."""
        reply = self._run(
            *("acquire", worker, batch, fence, token, account, grant),
            *(rate, window, cool_down, most, guard, life, job, epoch, *others),
        )
        return [reply[0].decode(), *reply[1:]]

    def sent(self, grant: str, at: int, account: str = "a") -> None:
        """The one step of a call that needs no script; `Queue.sent` does the same."""
        self.redis.zadd(keys.uses(account), {grant: at}, xx=True, lt=True)

    def extend(
        self, *grants: str, token: str = "t", account: str = "a", life: int = 60_000
    ) -> None:
        self._run("extend", life, *(word for each in grants for word in (token, account, each)))

    def release(
        self,
        grant: str,
        *,
        token: str = "t",
        account: str = "a",
        unused: bool = False,
        rest: int = 0,
        park: int = 0,
        strikes: int = 0,
        unfit_model: str = "",
        unfit: int = 0,
    ) -> None:
        self._run(
            *("release", token, account, grant, int(unused), rest, park, "no points", "why"),
            *(strikes, unfit_model, unfit),
        )

    def call(self, given: Given, step: str, *, tried: str = "", failures: int = 0) -> int:
        reply: int = self._run("call", given.id, given.epoch, step, tried, failures)
        return reply

    @contextmanager
    def heard(self, channel: str) -> Iterator[list[bytes]]:
        """After the block, the list holds what was published to the channel within it."""
        messages: list[bytes] = []
        with self.redis.pubsub() as pubsub:
            pubsub.subscribe(channel)
            assert pubsub.get_message(timeout=5)["type"] == "subscribe"
            yield messages
            self.redis.publish(channel, b"over")
            while (message := pubsub.get_message(timeout=5)["data"]) != b"over":
                messages.append(message)

    # What there is to see afterwards.

    def state(self, job: str) -> str | None:
        state: bytes | None = self.redis.hget(keys.job(job), "state")
        return state.decode() if state else None

    def log(self, job: str) -> list[Record]:
        entries = self.redis.xrange(keys.log(job))
        records = [msgspec.msgpack.decode(entry[b"r"], type=Record) for _, entry in entries]
        assert [f"{r.epoch}-{r.seq}".encode() for r in records] == [id_ for id_, _ in entries]
        return records

    def events(self, job: str) -> list[Event]:
        return [event for record in self.log(job) for event in record.events]

    def ends(self, job: str) -> list[Event]:
        return [event for event in self.events(job) if is_terminal(event)]

    def bytes(self, client: str = "ann") -> tuple[int, int]:
        """What is counted as stored, for a client and in all."""
        of_client = self.redis.hget(keys.client(client), "bytes")
        return int(of_client or 0), int(self.redis.hget(keys.TOTALS, "bytes") or 0)

    def waiting(self) -> int:
        return int(self.redis.hget(keys.TOTALS, "waiting") or 0)

    def tally(self, client: str = "ann") -> Counter[str]:
        """A client's counters; those that are 0 are left out."""
        names = ("waiting", "running", "open")
        values = self.redis.hmget(keys.client(client), names)
        counts = {name: int(value or 0) for name, value in zip(names, values, strict=True)}
        return Counter({name: count for name, count in counts.items() if count})

    def ring(self) -> dict[str, float]:
        rows = self.redis.zrange(keys.RING, 0, -1, withscores=True)
        return {client.decode(): turn for client, turn in rows}

    def pending(self, client: str = "ann") -> int:
        """Entries that a worker was given and that nobody acknowledged."""
        count: int = self.redis.xpending(keys.jobs(client), keys.GROUP)["pending"]
        return count

    def lasting_keys(self) -> set[str]:
        """Keys that do not expire by themselves."""
        return {key.decode() for key in self.redis.scan_iter() if self.redis.pttl(key) < 0}


def started(given: Given, seq: int = 1) -> Record:
    return Record(given.id, given.epoch, seq, (Started("w1", given.attempt, "Bot"),))


def text(given: Given, words: str = "word", seq: int = 1) -> Record:
    return Record(given.id, given.epoch, seq, (Text(words),))


def finished(given: Given, seq: int = 1) -> Record:
    return Record(given.id, given.epoch, seq, (Text("end"), Finished()))
