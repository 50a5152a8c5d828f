"""The contract's calls, made as gateways and workers make them, at an instant set by the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal, TypeVar

import msgspec
from redis import Redis

from contract import scripts
from contract.calls.call import Call
from contract.calls.gateway import (
    NO_BILLING,
    NO_BLOBS,
    Admission,
    Billing,
    Cancel,
    Claim,
    Enqueue,
    GatewayHeartbeat,
    Kept,
    Resend,
    Resumable,
    Withdraw,
)
from contract.calls.tokens import Acquire, Extend, Release, TokenUpdate
from contract.calls.worker import (
    Append,
    CallNote,
    Dispatch,
    NoteCall,
    Reclaim,
    Requeue,
    WorkerHeartbeat,
)
from contract.keys import idempotency, of_tries
from contract.messages import (
    Event,
    Failed,
    FailureKind,
    Finished,
    Record,
    Started,
    Text,
    TokenCounts,
    WorkerReport,
    is_terminal,
)
from tests.support.keys import keys

START = 1_700_000_000_000
"""The clock's initial value, in milliseconds."""

LIFE = 600_000
"""Milliseconds for which finished answers stay readable."""

NAMES = tuple(
    sorted(
        path.name.removesuffix(".lua")
        for path in (files("contract") / "lua").iterdir()
        if path.name != "lib.lua"
    )
)
"""The names of all scripts."""

SPARE = 24 * 3600 * 1000
"""Milliseconds for which data that limits count is kept longer than it counts; see lib.lua."""

MOST_LOOKED_AT = 1000
"""The number of keys up to which all are checked after each script."""

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

# A key with an expiry must outlive everything in it, and a job's keys must outlive the job.
# Redis's own clock runs on while the tests' stands: 20 s of a busy machine's are no fault.
_SHORT_LIVED = """
local now, spare, found = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for _, key in ipairs(redis.call('KEYS', 'p2g:*')) do
  local life = redis.call('PTTL', key)
  if life >= 0 and redis.call('TYPE', key).ok == 'zset' then
    local needed = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] - now
    if string.find(key, '^p2g:uses:') or string.find(key, '^p2g:grants:') then
      needed = needed + spare
    end
    if life < needed - 20000 then found[#found + 1] = key end
  end
  local job = string.match(key, '^p2g:log:({.*})$') or string.match(key, '^p2g:readers:({.*})$')
  if job and life < redis.call('PTTL', 'p2g:job:' .. job) - 20000 then found[#found + 1] = key end
end
return found
"""

UNFINISHED_LIFE = 86_400_000
"""Milliseconds after which an unfinished job is forgotten."""

KEPT = 700_000
"""Milliseconds for which the answer of a job that may be resumed is kept."""

CLAIM_LIFE = 60_000
"""Milliseconds within which a claimed job must be queued."""

IDEM = idempotency("ann", "digest")

TRIES = of_tries(IDEM)
"""What equal requests without an idempotency key are found by."""

R = TypeVar("R")

_encode = msgspec.msgpack.encode


TOO_LATE, INTERRUPTED, DEADLY = (
    Failed(FailureKind.INTERRUPTED, message) for message in ("too late", "interrupted", "deadly")
)


def _seconds(ms: int) -> float:
    return ms / 1000


@dataclass(frozen=True)
class Given:
    """A job, as `dispatch` returns it."""

    id: str
    epoch: int
    attempt: int
    waited: int
    tried: str
    failures: int
    keyed: bool = False
    payload: bytes = field(default=b"", compare=False)


class Scripts:
    """All scripts on one Redis; `now` is the time that they see."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self._now = START
        self._script = {
            name: redis.register_script(scripts.source(name, keys.prefix)) for name in NAMES
        }

    @property
    def now(self) -> int:
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        if now > self._now:
            self.redis.eval(_AGE, 0, now - self._now)
        self._now = now

    def run(self, call: Call[R]) -> R:
        """Make a call."""
        return call.read(self.reply(call))

    def reply(self, call: Call[Any]) -> Any:
        """Make a call, and check that nothing it stored expires too early."""
        reply = self._script[call.script](args=[self.now, *call.arguments()])
        if self.redis.dbsize() <= MOST_LOOKED_AT:
            assert self.redis.eval(_SHORT_LIVED, 0, self.now, SPARE) == [], call.script
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
        key: str = IDEM,
        model: str = "",
        choices: int = 1,
        payload: str | bytes | None = None,
        size: int | None = None,
        blobs: Mapping[str, bytes] = NO_BLOBS,
        most_bytes: int = 1_000_000,
        most_bytes_in_all: int = 1_000_000,
        kept: Kept | None = None,
        billing: Billing = NO_BILLING,
    ) -> list[Any]:
        """Enqueue a job, and return the reply with its first element as text.

        With a reader, the job can be resumed: it is found by `key`. The default payload
        begins like a job; the default `size` is that of the payload and the blobs.
        """
        payload = _encode([job, client, model]) if payload is None else payload
        terms = Admission(
            wait=_seconds(wait),
            weight=weight,
            max_queued=most,
            max_queued_total=most_in_all,
            max_concurrent=None if unfinished == "" else int(unfinished),
            rate_limit=None if per_minute == "" else int(per_minute),
            max_stored=most_bytes,
            max_stored_total=most_bytes_in_all,
        )
        call = Enqueue(
            job=job,
            client=client,
            gateway=gateway,
            payload=payload if isinstance(payload, bytes) else payload.encode(),
            terms=terms,
            size=len(payload) + sum(map(len, blobs.values())) if size is None else size,
            blobs=blobs,
            choices=choices,
            not_after=None if not_after == "" else _seconds(int(not_after)),
            resumable=_resumable(reader, grace, key),
            kept=kept,
            billing=billing,
            life=_seconds(UNFINISHED_LIFE - wait),
        )
        reply = self.reply(call)
        return [reply[0].decode(), *reply[1:]]

    def heartbeat_of_gateway(self, gateway: str = "g1", life: int = 15_000) -> None:
        self.run(GatewayHeartbeat(gateway, _seconds(life)))

    def withdraw(
        self,
        job: str,
        choices: int = 1,
        reader: str = "",
        gateway: str = "g1",
        key: str = IDEM,
    ) -> int:
        resumable = _resumable(reader, key=key)
        call = Withdraw(job=job, choices=choices, gateway=gateway, resumable=resumable)
        return int(self.run(call))

    def dispatch(self, n: int = 1, worker: str = "w1", **room: int) -> list[Given]:
        """`room` says for how many jobs of a model there is a key that is fit."""
        rows = self.reply(Dispatch(worker=worker, count=n, room=room, too_late=TOO_LATE))
        return [
            Given(row[-1].decode(), *row[1:4], row[4].decode(), row[5], bool(row[6]), row[0])
            for row in rows
        ]

    def append(self, *records: Record, notes: Sequence[CallNote] = ()) -> list[int]:
        return self.run(Append(records, notes))

    def claim(self, job: str, body: str = "body") -> str | None:
        """Return the job with the idempotency key `IDEM`, if it is for this body."""
        claim = Claim(key=IDEM, body=body, job=job, created=1_700_000_000)
        reply = self.reply(claim)
        return reply[0].decode() if reply else None

    def resend(
        self, job: str, sent: Literal["", "session", "retry"] = "retry", choices: int = 1
    ) -> str | None:
        """Return the job of `TRIES` that a request which may have been sent before belongs to."""
        call = Resend(name=IDEM, job=job, sent=sent, choices=choices, created=1_700_000_000)
        found = self.run(call)
        return found.job if found else None

    def cancel(self, job: str) -> str:
        return self.run(Cancel(job=job))

    def leave(
        self,
        job: str,
        reader: str = "r1",
        *,
        gateway: str = "g1",
        at_once: bool = False,
        key: str = IDEM,
    ) -> str:
        """Remove a reader of a job that can be resumed."""
        resumable = _resumable(reader, key=key)
        return self.run(Cancel(job=job, gateway=gateway, resumable=resumable, at_once=at_once))

    def requeue(
        self,
        given: Given,
        worker: str = "w1",
        *,
        delay: int = 0,
        tried: str = "",
        leave: bool = False,
        failures: int = 0,
    ) -> int:
        """Requeue a job. `tried` is a comma-separated list of tokens; "-" keeps the stored one."""
        call = Requeue(
            worker=worker,
            job=given.id,
            epoch=given.epoch,
            delay=_seconds(delay),
            tried=None if tried == "-" else tried.split(","),
            failures=failures,
            to_others=leave,
            interrupted=INTERRUPTED,
        )
        return int(self.run(call))

    def reclaim(self, most_deaths: int | None = 2) -> list[str]:
        return self.run(
            Reclaim(
                max_deaths=most_deaths,
                interrupted=INTERRUPTED,
                deadly=DEADLY,
                too_late=TOO_LATE,
            )
        )

    def heartbeat(
        self,
        worker: str = "w1",
        batches: Iterable[str] = (),
        *,
        life: int = 6000,
        leaving: bool = False,
    ) -> dict[str, int]:
        """Send a heartbeat, and return the batches that the worker now holds, with their fences."""
        call = WorkerHeartbeat(
            worker=worker,
            lease_life=_seconds(life),
            report=WorkerReport(worker, "test", TokenCounts(), 0),
            batches=tuple(batches),
            leaving=leaving,
        )
        return self.run(call)

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
        label: str = "",
        others: Iterable[str] = (),
    ) -> list[Any]:
        """`others` are the other tokens of the account."""
        call = Acquire(
            worker=worker,
            batch=batch,
            fence=fence,
            token=token,
            account=account,
            grant=grant,
            rate_limit=rate,
            window=_seconds(window),
            cool_down=_seconds(cool_down),
            max_in_flight=most,
            guard=_seconds(guard),
            life=_seconds(life),
            job=job,
            epoch=epoch,
            label=label,
            others=others,
        )
        reply = self.reply(call)
        return [reply[0].decode(), *reply[1:]]

    def sent(self, grant: str, at: int, account: str = "a") -> None:
        """Count a use from the instant at which it was sent, as `append` does."""
        self.redis.zadd(keys.uses(account), {grant: at}, xx=True, lt=True)

    def extend(
        self, *grants: str, token: str = "t", account: str = "a", life: int = 60_000
    ) -> None:
        self.run(Extend([(token, account, grant) for grant in grants], _seconds(life)))

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
        update = TokenUpdate(
            rest=_seconds(rest),
            park=_seconds(park),
            state="no points",
            reason="why",
            strikes=strikes,
            unfit_model=unfit_model,
            unfit=_seconds(unfit),
        )
        self.run(Release(token=token, account=account, grant=grant, used=not unused, update=update))

    def note_call(
        self,
        given: Given,
        stage: Literal["sent", "answered", "failed"],
        *,
        tried: str = "",
        failures: int = 0,
    ) -> int:
        """Note the stage of a call. `tried` is a comma-separated list of tokens."""
        tokens = tried.split(",")
        return int(self.run(NoteCall(given.id, given.epoch, stage, tokens, failures)))

    @contextmanager
    def heard(self, channel: str) -> Iterator[list[bytes]]:
        """Yield a list that, after the block, holds what was published to the channel in it."""
        messages: list[bytes] = []
        with self.redis.pubsub() as pubsub:
            pubsub.subscribe(channel)
            assert pubsub.get_message(timeout=5)["type"] == "subscribe"
            yield messages
            self.redis.publish(channel, b"over")
            while (message := pubsub.get_message(timeout=5)["data"]) != b"over":
                messages.append(message)

    # State, for assertions.

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
        """Return the bytes counted as stored, for a client and in all."""
        of_client = self.redis.hget(keys.client(client), "bytes")
        return int(of_client or 0), int(self.redis.hget(keys.totals, "bytes") or 0)

    def waiting(self) -> int:
        return int(self.redis.hget(keys.totals, "waiting") or 0)

    def tally(self, client: str = "ann") -> Counter[str]:
        """Return a client's counters that are not 0."""
        names = ("waiting", "running", "open")
        values = self.redis.hmget(keys.client(client), names)
        counts = {name: int(value or 0) for name, value in zip(names, values, strict=True)}
        return Counter({name: count for name, count in counts.items() if count})

    def ring(self) -> dict[str, float]:
        rows = self.redis.zrange(keys.ring, 0, -1, withscores=True)
        return {client.decode(): turn for client, turn in rows}

    def pending(self, client: str = "ann") -> int:
        """Return the number of entries that were delivered and not acknowledged."""
        count: int = self.redis.xpending(keys.jobs(client), "workers")["pending"]
        return count

    def lasting_keys(self) -> set[str]:
        """Return the keys without an expiry."""
        return {key.decode() for key in self.redis.scan_iter() if self.redis.pttl(key) < 0}


def _resumable(reader: str, grace: int = 60_000, key: str = IDEM) -> Resumable | None:
    kept = KEPT if key == IDEM else grace
    return Resumable(key, reader, _seconds(grace), _seconds(kept)) if reader else None


def started(given: Given, seq: int = 1) -> Record:
    return Record(given.id, given.epoch, seq, (Started("w1", given.attempt, "Bot"),))


def text(given: Given, words: str = "word", seq: int = 1) -> Record:
    return Record(given.id, given.epoch, seq, (Text(words),))


def finished(given: Given, seq: int = 1) -> Record:
    return Record(given.id, given.epoch, seq, (Text("end"), Finished()))
