"""One call to Poe with one token: its files, its grant, the call, and what it teaches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Literal

import msgspec

from contract.calls.tokens import Lost, Parked, Refused, Short, TokenUpdate
from contract.lifetimes import GRANT_LIFE
from contract.messages import Event, Job, MediaPart, Model
from store.faults import RedisFault
from worker.background import Background
from worker.balances import Balances
from worker.config import PoeToken
from worker.inlining import inlined, restored
from worker.poe.answer import Answer, Flow
from worker.poe.attachments import Attachment
from worker.poe.client import Gate, PoeClient
from worker.poe.faults import Fault, FaultKind, Reach
from worker.poe.raw_json import Path
from worker.poe.upstream import Ask, Upstream
from worker.policy.leases import Leases
from worker.policy.token_penalties import needs_proof
from worker.policy.token_pool import TokenPool
from worker.policy.waiting import claim_pause, is_brief, pause_after
from worker.queue import Granted, Queue
from worker.token_health import TokenHealth
from worker.uploads import Crowded, Uploads

LONGEST_CLAIM = 15.0
"""Seconds for which a call whose files are uploaded waits for its account; then its job is
requeued."""

_MAY_BE_A_LOST_FILE = {FaultKind.BAD_REQUEST, FaultKind.UPSTREAM_DOWN}
"""What Poe may say of a file that it no longer has: "Internal server error" is its usual word."""


class Unavailable(Exception):
    """The token may not be used now after all."""


class ShortOfPoints(Unavailable):
    """The job may have been paid for, and its budgets have no points for another call.

    `why` is why they will have none; empty: they may have some later.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Listener(msgspec.Struct, frozen=True):
    """Whoever is told how a call goes."""

    on_start: Callable[[], None]
    """An attempt begins."""
    on_sent: Callable[[float], None]
    """The call was sent, at this instant of Redis's clock in milliseconds, or before."""
    on_reach: Callable[[Reach], None]
    """The call has come so far."""
    on_events: Callable[[list[Event]], Flow]
    """Takes a batch, and says what is wanted next."""
    drained: Callable[[], Awaitable[None]]
    """Returns when more may be read after `Flow.WAIT`."""
    has_ended: Callable[[], bool]
    """Returns whether the job's last record is on its way, which gives the grant back."""


class Calls:
    """Makes calls, within the limits. A granted call must leave within `guard` seconds."""

    def __init__(
        self,
        queue: Queue,
        pool: TokenPool,
        leases: Leases,
        poe: PoeClient,
        *,
        guard: float,
        on_free: Callable[[], None],
    ) -> None:
        self._jobs = queue.jobs
        self._tokens = queue.tokens
        self._blobs = queue.blobs
        self._pool = pool
        self._leases = leases
        self._poe = poe
        self._uploads = Uploads(queue.uploads, queue.blobs, poe)
        self._health = TokenHealth(pool, Balances(poe))
        self._guard = guard
        self._on_free = on_free
        self._in_flight: dict[str, PoeToken] = {}
        # A grant that could not be given back has lapsed by then.
        self._background = Background(GRANT_LIFE)

    @property
    def in_flight(self) -> list[tuple[PoeToken, str]]:
        """The tokens and grants of the calls under way."""
        return [(token, grant) for grant, token in self._in_flight.items()]

    async def settled(self, seconds: float) -> None:
        """Return when Redis knows of the end of all calls that have ended, or after `seconds`."""
        await self._background.settled(seconds)

    async def make(
        self,
        job: Job,
        epoch: int,
        token: PoeToken,
        listener: Listener,
        *,
        upstream: Upstream,
        model: Model | None,
        simulate_roles: Literal[0, 1, 2],
        without: frozenset[Path] = frozenset(),
    ) -> None:
        """Call Poe for `job` with `token`, which the pool has acquired for it.

        The call ends early, and well, when no more is wanted. It is granted when its connection is
        open, and Redis notes in the same step that it is sent. Raises Unavailable or NotSent where
        no call was made, Fault where one failed.
        """
        began = time.monotonic()
        needed = upstream.needs_uploads and any(message.media for message in job.messages)
        attachments = await self._attachments(job, token, began) if needed else {}
        if not upstream.needs_uploads:
            job = await self._with_content(job, token, native=upstream.is_native)
        ask = Ask(job, model, simulate_roles, attachments, without)
        call = _Call(job.id, epoch, token, f"{job.id}:{token_hex(4)}")
        update: TokenUpdate | None = None
        try:
            answer = self._answer(call, upstream, ask, listener)
            await answer.read(listener.on_events, listener.drained)
            update = self._health.after_answer(answer.limits, token)
        except Fault as fault:
            update = await self._health.after_fault(fault, job.model, token, began)
            if attachments and fault.kind in _MAY_BE_A_LOST_FILE:
                await self._uploads.forget(job, token)
            raise
        finally:
            self._end(call, update, is_noted=listener.has_ended())

    def _answer(self, call: _Call, upstream: Upstream, ask: Ask, listener: Listener) -> Answer:
        async def may_send() -> bool:
            try:
                if call.granted is not None:
                    # The connection was closed meanwhile, and this is another.
                    return await self._jobs.note_sending(call.job, call.epoch)
                call.granted = await self._granted(call)
            except RedisFault:
                return False
            self._in_flight[call.grant] = call.token
            listener.on_start()
            return True

        def on_sent() -> None:
            call.is_sent = True
            now = time.monotonic()
            self._pool.sent(call.token, now)
            if call.granted is not None:
                listener.on_sent(call.granted.on_redis_clock(now))

        gate = Gate(
            before_send=may_send,
            may_send=lambda: call.may_leave(time.monotonic(), self._guard),
            on_sent=on_sent,
        )
        secret = call.token.secret
        return self._poe.answer(upstream, ask, secret, gate=gate, on_reach=listener.on_reach)

    def _end(self, call: _Call, update: TokenUpdate | None, *, is_noted: bool) -> None:
        token, grant, used = call.token, call.grant, call.is_sent
        self._in_flight.pop(grant, None)
        if call.has_token:
            (self._pool.release if used else self._pool.cancel)(token)
        if update is None and (is_noted if used else call.granted is None):
            return
        self._background.start(lambda: self._tokens.release(token, grant, used=used, update=update))

    async def _attachments(
        self, job: Job, token: PoeToken, began: float
    ) -> dict[MediaPart, Attachment]:
        # Nothing is in flight at Poe meanwhile, so others may use the slot.
        self._pool.cancel(token)
        self._on_free()
        try:
            made = await self._uploads.attachments(job, token)
        except Crowded:
            raise Unavailable from None
        except Fault as fault:
            await self._learn_from_upload(fault, job, token, began)
            raise
        await self._take_again(token)
        return made

    async def _with_content(self, job: Job, token: PoeToken, *, native: bool) -> Job:
        try:
            return await (restored if native else inlined)(job, self._blobs)
        except BaseException:
            self._pool.cancel(token)
            raise

    async def _learn_from_upload(
        self, fault: Fault, job: Job, token: PoeToken, began: float
    ) -> None:
        # It says nothing of models, and of calls no more than that the key is none.
        if not needs_proof(fault.kind):
            return
        update = await self._health.after_fault(fault, job.model, token, began)
        if update is not None and update.park:
            self._background.start(
                lambda: self._tokens.release(token, "", used=True, update=update)
            )

    async def _take_again(self, token: PoeToken) -> None:
        """Take the token whose account has the files, before others do. Raises Unavailable."""
        give_up = time.monotonic() + LONGEST_CLAIM
        self._pool.claim(token)
        try:
            while (ready := self._pool.redeem(token, now := time.monotonic())) is not None:
                pause = claim_pause(ready, now, give_up)
                if pause is None:
                    raise Unavailable
                await asyncio.sleep(pause)
        finally:
            self._pool.drop_claim(token)
            self._on_free()

    async def _granted(self, call: _Call) -> Granted:
        """Ask for a grant. Raises Unavailable where there is none, with the token given back."""
        token, grant = call.token, call.grant
        try:
            reply = await self._reply(call)
        except BaseException:
            # The grant may have been given; giving it back is harmless if it was not.
            self._background.start(lambda: self._tokens.release(token, grant, used=False))
            raise
        if isinstance(reply, Granted):
            return reply
        call.has_token = False
        if isinstance(reply, Short):
            self._pool.cancel(token)
            raise ShortOfPoints(reply.why)
        if isinstance(reply, Parked):
            self._pool.cancel(token)
            self._pool.park(token.id, time.monotonic() + reply.wait, reply.state)
        else:
            self._pool.refuse(token, time.monotonic() + pause_after(reply))
        raise Unavailable

    async def _reply(self, call: _Call) -> Granted | Refused | Parked | Lost | Short:
        token = call.token
        while True:
            lease = self._leases.lease(token.account, time.monotonic())
            if lease is None:
                return Lost()
            reply = await self._tokens.acquire(
                token,
                lease,
                (call.job, call.epoch),
                call.grant,
                guard=self._guard,
                others=self._pool.others(token),
            )
            if not (isinstance(reply, Refused) and is_brief(reply)):
                return reply
            await asyncio.sleep(reply.wait or 0.0)


@dataclass
class _Call:
    """A call on its way to Poe."""

    job: str
    epoch: int
    token: PoeToken
    grant: str
    has_token: bool = True
    """Whether the pool counts its token as taken."""
    granted: Granted | None = None
    is_sent: bool = False

    def may_leave(self, now: float, guard: float) -> bool:
        """Return whether it may be sent now, at most `guard` seconds after its grant."""
        return self.granted is not None and now < self.granted.asked + guard
