"""The worker's only Redis: jobs in, records out, leases and grants.

Every call is one round trip of one script. A script may be repeated after a lost reply: `append`
and `acquire` know their own earlier attempt, `beat` and `release` do not mind. `dispatch` does, so
after any fault there `orphans` finds the jobs that were given to us unheard.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
from redis import exceptions

from contract.calls.call import Call, milliseconds
from contract.calls.clock import CheckClock, ClockReading
from contract.calls.tokens import (
    NOTHING_NEW,
    Acquire,
    Extend,
    Grant,
    Lost,
    Parked,
    Refused,
    Release,
    TokenState,
    TokenStates,
    TokenUpdate,
)
from contract.calls.worker import (
    NO_LIMITS,
    Append,
    Dispatch,
    Dispatched,
    NoteCall,
    Reclaim,
    Requeue,
    Unreadable,
    WorkerHeartbeat,
)
from contract.codec import decode_catalogue, encode
from contract.keys import DEFAULT_KEYS, Keys
from contract.messages import Catalogue, Failed, FailureKind, Record, WorkerReport
from store.client import connect
from store.clock import Clock, keep_time
from store.faults import RedisFault
from store.link import Link
from worker.config import PoeToken
from worker.poe.uploads import UploadedFile
from worker.policy.token_pool import WINDOW, margin
from worker.replies import Granted

BELL_WAIT = 1.0
"""Seconds for which an idle worker listens before it looks for itself."""

PAGE = 1000
"""Tokens of which one script tells: a question of a millisecond."""

CATALOGUE_LIFE = 7 * 24 * 3600
"""Seconds for which the last good catalogue is kept while Poe does not answer."""

R = TypeVar("R")

_log = logging.getLogger("worker.queue")

_SOCKET_TIMEOUT = 5.0


class Queue:
    """One worker's connection to the queue."""

    def __init__(
        self,
        url: str,
        worker: str,
        keys: Keys = DEFAULT_KEYS,
        *,
        lease_life: float,
        max_attempts: int,
    ) -> None:
        self.worker = worker
        self._keys = keys
        self._lease_life = lease_life
        self._max_deaths = max_attempts
        self._redis = connect(url, connections=32, timeout=_SOCKET_TIMEOUT)
        # A read that blocks needs a longer timeout than its block, and a connection of its own.
        self._bell = connect(url, connections=2, timeout=BELL_WAIT + _SOCKET_TIMEOUT)
        self._link = Link(url, keys, timeout=_SOCKET_TIMEOUT)
        self.clock = Clock()

    async def __aenter__(self) -> Queue:
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(*RedisFault):
            await self._link.aclose()
            await self._redis.aclose()
            await self._bell.aclose()

    async def wait_for_bell(self) -> None:
        """Return when a job has come, or after `BELL_WAIT` seconds."""
        await self._bell.brpop([self._keys.bell], timeout=BELL_WAIT)

    async def dispatch(self, count: int, room: Mapping[str, int] = NO_LIMITS) -> list[Dispatched]:
        """Take up to `count` jobs, in fair order; of the models in `room` no more than it says."""
        call = Dispatch(worker=self.worker, count=count, room=room, too_late=_TOO_LATE)
        jobs = await self._run(call)
        for job in jobs:
            if isinstance(job, Unreadable):
                await self._fail_unreadable(job)
        return [job for job in jobs if isinstance(job, Dispatched)]

    async def _fail_unreadable(self, job: Unreadable) -> None:
        _log.error("job %s cannot be read: %s", job.job, job.error)
        await self.append([Record(job.job, job.epoch, 1, (_UNREADABLE,))])

    async def append(self, records: Sequence[Record]) -> list[int]:
        """Append to the logs of these jobs and tell their gateways; see append.lua."""
        return await self._run(Append(records))

    async def requeue(
        self,
        job: str,
        epoch: int,
        *,
        pause: float = 0.0,
        tried: Iterable[str] = (),
        failures: int = 0,
        to_others: bool = False,
    ) -> bool:
        """Return a job without output to its place in the queue; False: no longer ours.

        One with output, whose end Redis has lost, is ended.
        `to_others`: this worker has no token left for it, so another should get it first.
        """
        return await self._run(
            Requeue(
                worker=self.worker,
                job=job,
                epoch=epoch,
                delay=pause,
                tried=tried,
                failures=failures,
                to_others=to_others,
                interrupted=_INTERRUPTED,
            )
        )

    async def return_orphan(self, job: str, epoch: int) -> None:
        """Return a job that we do not know, though it is ours; see requeue.lua."""
        orphan = Requeue(
            worker=self.worker, job=job, epoch=epoch, tried=None, interrupted=_INTERRUPTED
        )
        await self._run(orphan)

    async def sending(self, job: str, epoch: int) -> bool:
        """Note that a call for this job is about to leave; False: it must not."""
        return await self._run(NoteCall(job, epoch, "sent"))

    async def answered(self, job: str, epoch: int) -> None:
        """Note that Poe has said 200 to the present call of this job."""
        await self._run(NoteCall(job, epoch, "answered"))

    async def settle(self, job: str, epoch: int, tried: Iterable[str], failures: int) -> None:
        """Note that the present call has ended so that the job may be asked again, and what has
        failed it by now."""
        await self._run(NoteCall(job, epoch, "failed", tried, failures))

    async def keep_time(self) -> float:
        """Look at Redis's clock; return by how much it was set since, if we put that right."""

        def run(check: CheckClock) -> Coroutine[Any, Any, ClockReading]:
            # Without patience: what is told here is what others go by.
            return self._run(check, patience=0.0)

        return await keep_time(self.clock, run)

    async def server(self) -> str:
        """Which server this is, in which of its lives."""
        found = await self._redis.info("server")
        return str(found["run_id"])

    async def owned(self) -> set[str]:
        """The jobs that are this worker's."""
        jobs = await _await(self._redis.smembers(self._keys.owned(self.worker)))
        return {job.decode() for job in jobs}

    async def orphans(self, running: Collection[str]) -> list[tuple[str, int]]:
        """Jobs, with their epochs, that Redis holds to be ours and we do not know."""
        lost = [job for job in await self.owned() if job not in running]
        epochs = [await _await(self._redis.hget(self._keys.job(job), "epoch")) for job in lost]
        if forgotten := [job for job, epoch in zip(lost, epochs, strict=True) if not epoch]:
            await _await(self._redis.srem(self._keys.owned(self.worker), *forgotten))
        return [(job, int(epoch)) for job, epoch in zip(lost, epochs, strict=True) if epoch]

    async def beat(
        self, report: WorkerReport, batches: Iterable[str], *, leaving: bool = False
    ) -> dict[str, int]:
        """Renew the heartbeat and the leases; return the batches held, with their fences."""
        return await self._run(
            WorkerHeartbeat(
                worker=self.worker,
                lease_life=self._lease_life,
                report=report,
                batches=tuple(batches),
                leaving=leaving,
            )
        )

    async def unowned(self, batches: Sequence[str]) -> set[str]:
        """Those of the batches that no worker holds."""
        now = self.clock.at(time.monotonic()) * 1000
        async with self._redis.pipeline(transaction=False) as pipe:
            for batch in batches:
                pipe.hget(self._keys.lease(batch), "expires")
            expiries = await pipe.execute()
        pairs = zip(batches, expiries, strict=True)
        return {batch for batch, expires in pairs if float(expires or 0) <= now}

    async def reclaim(self) -> list[str]:
        """See to the jobs of workers that have died; return those workers."""
        return await self._run(
            Reclaim(
                max_deaths=self._max_deaths,
                interrupted=_INTERRUPTED,
                deadly=_DEADLY,
                too_late=_TOO_LATE,
            )
        )

    async def acquire(
        self,
        token: PoeToken,
        batch: str,
        fence: int,
        job: tuple[str, int],
        grant: str,
        *,
        guard: float,
        others: Iterable[str] = (),
    ) -> Granted | Refused | Parked | Lost:
        """Ask for one call with this token; a grant must be used within `guard` seconds.

        `job` is the id of the job and the epoch in which it is ours; `others` are the ids of the
        other tokens of the account.
        """
        asked = time.monotonic()
        name, epoch = job
        acquire = Acquire(
            worker=self.worker,
            batch=batch,
            fence=fence,
            token=token.id,
            account=token.account,
            grant=grant,
            rate_limit=token.rate_limit,
            window=WINDOW + margin(WINDOW),
            cool_down=token.cool_down + margin(token.cool_down),
            max_in_flight=token.max_in_flight,
            guard=guard,
            job=name,
            epoch=epoch,
            others=others,
        )
        reply = await self._run(acquire, patience=0.0)
        return Granted(reply.at, asked) if isinstance(reply, Grant) else reply

    async def sent(self, token: PoeToken, grant: str, at: float) -> None:
        """The granted call went out, at `at` milliseconds of Redis's clock or before."""
        await self._link.call("ZADD", self._keys.uses(token.account), "XX", "LT", at, grant)

    async def extend(self, grants: Iterable[tuple[PoeToken, str]]) -> None:
        """Keep calls in flight counted."""
        calls = [(token.id, token.account, grant) for token, grant in grants]
        await self._run(Extend(calls))

    async def release(
        self, token: PoeToken, grant: str, *, used: bool, note: TokenUpdate | None = None
    ) -> None:
        """A call has ended, or was never made; `note` is what it taught us of the token."""
        await self._run(
            Release(
                token=token.id,
                account=token.account,
                grant=grant,
                used=used,
                update=note or NOTHING_NEW,
            )
        )

    async def states(self, tokens: Sequence[PoeToken]) -> dict[str, TokenState]:
        """What all workers have learned of these tokens."""
        states = {token.id: _NOTHING_KNOWN for token in tokens}
        for start in range(0, len(tokens), PAGE):
            page = [token.id for token in tokens[start : start + PAGE]]
            known = await self._run(TokenStates(page))
            states.update(known)
        return states

    async def note_balance(self, token: PoeToken, points: int) -> None:
        """Tell everyone how many points a token's account has left."""
        await _await(self._redis.hset(self._keys.token(token.id), "points", str(points)))

    async def uploads(self, account: str, digests: Sequence[str]) -> list[UploadedFile | None]:
        """Where the account's uploads of these contents are, if they are remembered."""
        keys = [self._keys.upload(account, digest) for digest in digests]
        rows = await _await(self._redis.mget(*keys))
        return [row and msgspec.msgpack.decode(row, type=UploadedFile) for row in rows]

    async def remember_upload(
        self, account: str, digest: str, file: UploadedFile, life: float
    ) -> None:
        """Remember for `life` seconds where the account's upload of this content is."""
        key = self._keys.upload(account, digest)
        await self._redis.set(key, encode(file), px=milliseconds(life))

    async def forget_uploads(self, account: str, digests: Sequence[str]) -> None:
        """Forget where the account's uploads of these contents are."""
        await self._redis.delete(*(self._keys.upload(account, digest) for digest in digests))

    @asynccontextmanager
    async def cancellations(self) -> AsyncIterator[AsyncIterator[str]]:
        """Inside the block, iterate the ids of jobs whose clients have left."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(self._keys.control(self.worker))

            async def ids() -> AsyncIterator[str]:
                asked = False
                while True:
                    message = await pubsub.get_message(timeout=_SOCKET_TIMEOUT)
                    if message is not None:
                        asked = False
                        if message["type"] == "message":
                            yield message["data"].decode()
                    elif asked:
                        raise exceptions.ConnectionError("the subscription is silent")
                    else:
                        # A connection that was lost without a word looks just as idle.
                        await pubsub.ping()
                        asked = True

            yield ids()

    async def cancelled(self, jobs: Iterable[str]) -> list[str]:
        """Those of these jobs whose clients have left."""
        ids = list(jobs)
        async with self._redis.pipeline(transaction=False) as pipe:
            for job in ids:
                pipe.hget(self._keys.job(job), "cancelled")
            return [job for job, left in zip(ids, await pipe.execute(), strict=True) if left]

    async def may_fetch_catalogue(self, life: float) -> bool:
        """Tell whether it falls to this worker to fetch the catalogue, once in `life` seconds."""
        return await self._is_first(self._keys.catalogue_lock, life)

    async def may_refetch_catalogue(self, life: float) -> bool:
        """Tell whether the catalogue may be fetched before its time, once in `life` seconds."""
        return await self._is_first(self._keys.catalogue_asked, life)

    async def _is_first(self, key: str, life: float) -> bool:
        """Return whether nobody has set this key, and set it for `life` seconds."""
        return bool(await self._redis.set(key, self.worker, nx=True, px=milliseconds(life)))

    async def publish_catalogue(self, catalogue: Catalogue, life: float) -> None:
        """Make a catalogue known to everyone, and let nobody fetch it for `life` seconds."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(self._keys.catalogue, encode(catalogue), ex=CATALOGUE_LIFE)
            pipe.set(self._keys.catalogue_version, repr(catalogue.fetched), ex=CATALOGUE_LIFE)
            pipe.set(self._keys.catalogue_lock, self.worker, px=milliseconds(life))
            await pipe.execute()

    async def catalogue_version(self) -> bytes | None:
        """What tells one catalogue from another; None: there is none."""
        version: bytes | None = await _await(self._redis.get(self._keys.catalogue_version))
        return version

    async def catalogue(self) -> Catalogue | None:
        """The last good catalogue, if one can be read."""
        value: bytes | None = await _await(self._redis.get(self._keys.catalogue))
        try:
            return decode_catalogue(value) if value else None
        except msgspec.DecodeError as error:
            _log.warning("the catalogue of another version cannot be read: %s", error)
            return None

    async def _run(self, call: Call[R], patience: float = _SOCKET_TIMEOUT) -> R:
        return await self._link.run(call, self.clock.bounds(time.monotonic(), patience))


async def _await(reply: Any) -> Any:
    # redis-py types the replies of its hash and set commands as "awaitable or not".
    return await reply


_NOTHING_KNOWN = TokenState()
_UNREADABLE = Failed(
    FailureKind.INTERNAL, "The request cannot be read by the worker that was given it."
)
_TOO_LATE = Failed(
    FailureKind.QUEUE_TIMEOUT, "The request waited too long for a free Poe key. Try again later."
)
_INTERRUPTED = Failed(
    FailureKind.INTERRUPTED,
    "The answer was interrupted: the process that was receiving it has stopped.",
    charged=True,
)
_DEADLY = Failed(
    FailureKind.INTERRUPTED,
    "The request was given up: each process that began it has stopped.",
    charged=True,
)
