"""One call to Poe with one token: the grant, the call, and what it teaches."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from secrets import token_hex
from typing import Literal

from contract.calls.tokens import Lost, Parked, Refused, TokenUpdate
from contract.lifetimes import GRANT_LIFE
from contract.messages import Event, Job, MediaPart, Model
from store.faults import RedisFault
from worker.balances import Balances
from worker.config import PoeToken
from worker.poe.answer import Flow
from worker.poe.attachments import Attachment
from worker.poe.client import Gate, PoeClient
from worker.poe.faults import Fault, FaultKind, Reach
from worker.poe.limits import RateLimits
from worker.poe.upstream import Ask, Upstream
from worker.policy import token_penalties
from worker.policy.leases import Leases
from worker.policy.readiness import NEVER
from worker.policy.token_penalties import penalty_of
from worker.policy.token_pool import TokenPool
from worker.queue import Queue
from worker.replies import Granted
from worker.uploads import Crowded, Uploads

_log = logging.getLogger("worker.calls")

FULL_PAUSE = 0.25
"""Seconds before asking again for an account whose calls in flight we do not know."""

OnEvents = Callable[[list[Event]], Flow]
"""Takes a batch, and tells what is wanted next."""


LOST_PAUSE = 0.5
"""Seconds before asking again for an account whose lease was not ours when we asked."""

LONGEST_CLAIM = 15.0
"""Seconds for which a call whose files are uploaded waits for its account; then its job goes back
to the queue."""

CLAIM_PAUSE = 0.05
"""Seconds before it looks again whether another call has ended."""

BRIEF = 0.1
"""Seconds for which a refused call waits here; for longer its job goes back to the queue."""


_MAY_BE_A_LOST_FILE = {FaultKind.BAD_REQUEST, FaultKind.UPSTREAM_DOWN}
"""What Poe may say of a file that it no longer has: "Internal server error" is its usual word."""


class Unavailable(Exception):
    """The token may not be used now after all."""


class Calls:
    """Makes calls, within the limits."""

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
        self._queue = queue
        self._pool = pool
        self._leases = leases
        self._poe = poe
        self._uploads = Uploads(queue, poe)
        self._balances = Balances(poe)
        # The longest a granted call may take to leave: time to connect, and a little.
        self._guard = guard
        self._on_free = on_free
        self._in_flight: dict[str, PoeToken] = {}
        self._background: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> list[tuple[PoeToken, str]]:
        """The tokens and grants of the calls under way."""
        return [(token, grant) for grant, token in self._in_flight.items()]

    async def settled(self, seconds: float) -> None:
        """Return when Redis knows of the end of all calls that have ended, or after `seconds`."""
        if self._background:
            await asyncio.wait(self._background, timeout=seconds)

    async def make(
        self,
        job: Job,
        epoch: int,
        token: PoeToken,
        *,
        upstream: Upstream,
        model: Model | None,
        simulate_roles: Literal[0, 1, 2],
        on_start: Callable[[], None],
        on_reach: Callable[[Reach], None],
        on_events: OnEvents,
        passed_on: Callable[[], Awaitable[None]],
    ) -> None:
        """Call Poe for `job` with `token`, which the pool has acquired for it.

        The call ends early, and well, when no more is wanted. `on_reach` is told how far it has
        come; before it is sent and when it is answered, the job in Redis is told so too. Raises
        Unavailable or NotSent where no call was made, Fault where one failed.
        """
        began = time.monotonic()
        # Before the grant, which is for a moment; uploads may take minutes.
        attachments = await self._attachments(job, token, began) if upstream.needs_uploads else {}
        grant = f"{job.id}:{token_hex(4)}"
        granted = await self._granted(token, (job.id, epoch), grant)
        sent = False
        note: TokenUpdate | None = None

        def on_sent() -> None:
            nonlocal sent
            sent = True
            now = time.monotonic()
            self._pool.sent(token, now)
            at = granted.at + (now - granted.asked) * 1000 + 1
            self._in_background(lambda: self._queue.sent(token, grant, at))

        async def may_note() -> bool:
            try:
                return await self._queue.sending(job.id, epoch)
            except RedisFault:
                return False

        def come_to(reach: Reach) -> None:
            if reach is Reach.ANSWERED:
                self._in_background(lambda: self._queue.answered(job.id, epoch))
            on_reach(reach)

        self._in_flight[grant] = token
        try:
            on_start()
            answer = self._poe.answer(
                upstream,
                Ask(job, model, simulate_roles, attachments),
                token.secret,
                gate=Gate(
                    before_send=may_note,
                    may_send=lambda: time.monotonic() < granted.asked + self._guard,
                    on_sent=on_sent,
                ),
                on_reach=come_to,
            )
            await answer.read(on_events, passed_on)
            note = self._heed(answer.limits, token)
            if not self._pool.is_well(token.id):
                self._pool.unpark(token.id)
                note = TokenUpdate(rest=note.rest if note else 0.0, park=-1)
        except Fault as fault:
            note = await self._learn(fault, job, token, began)
            if attachments and fault.kind in _MAY_BE_A_LOST_FILE:
                await self._uploads.forget(job, token)
            raise
        finally:
            del self._in_flight[grant]
            (self._pool.release if sent else self._pool.cancel)(token)
            self._in_background(lambda: self._queue.release(token, grant, used=sent, note=note))

    async def _attachments(
        self, job: Job, token: PoeToken, began: float
    ) -> dict[MediaPart, Attachment]:
        if not any(message.media for message in job.messages):
            return {}
        # Nothing is in flight at Poe meanwhile, so others may use the slot.
        self._pool.cancel(token)
        self._on_free()
        try:
            made = await self._uploads.attachments(job, token)
        except Crowded:
            raise Unavailable from None
        except Fault as fault:
            # It says nothing of models, and of calls no more than that the key is none.
            note = None
            if token_penalties.needs_proof(fault.kind):
                note = await self._learn(fault, job, token, began)
            if note and note.park:
                self._in_background(lambda: self._queue.release(token, "", used=True, note=note))
            raise
        await self._take_again(token)
        return made

    async def _take_again(self, token: PoeToken) -> None:
        """Take the token whose account has the files, before others do. Raises Unavailable."""
        give_up = time.monotonic() + LONGEST_CLAIM
        self._pool.claim(token)
        try:
            while (ready := self._pool.redeem(token, now := time.monotonic())) is not None:
                if min(ready, now) > give_up or give_up < ready < NEVER:
                    raise Unavailable
                await asyncio.sleep(max(min(ready - now, CLAIM_PAUSE), 0.001))
        finally:
            self._pool.drop_claim(token)
            self._on_free()

    async def _granted(self, token: PoeToken, job: tuple[str, int], grant: str) -> Granted:
        try:
            reply = await self._ask(token, job, grant)
            while isinstance(reply, Refused) and reply.wait is not None and reply.wait < BRIEF:
                await asyncio.sleep(reply.wait)
                reply = await self._ask(token, job, grant)
        except BaseException:
            # The grant may have been given; giving it back is harmless if it was not.
            self._pool.cancel(token)
            self._in_background(lambda: self._queue.release(token, grant, used=False))
            raise
        match reply:
            case Granted():
                return reply
            case Refused(wait):
                pause = FULL_PAUSE if wait is None else wait
                self._pool.refuse(token, time.monotonic() + pause)
            case Parked(wait, state):
                self._pool.cancel(token)
                self._pool.park(token.id, time.monotonic() + wait, state)
            case Lost():
                # The next beat tells what we own; until then there is no use in asking again.
                self._pool.refuse(token, time.monotonic() + LOST_PAUSE)
        raise Unavailable

    async def _ask(
        self, token: PoeToken, job: tuple[str, int], grant: str
    ) -> Granted | Refused | Parked | Lost:
        lease = self._leases.lease(token.account, time.monotonic())
        if lease is None:
            return Lost()
        return await self._queue.acquire(
            token,
            lease.batch,
            lease.fence,
            job,
            grant,
            guard=self._guard,
            others=self._pool.others(token),
        )

    def _heed(self, limits: RateLimits | None, token: PoeToken) -> TokenUpdate | None:
        """Poe's own count overrides ours."""
        if limits is None or limits.remaining != 0 or not limits.reset:
            return None
        self._pool.rest(token, time.monotonic() + limits.reset)
        return TokenUpdate(rest=limits.reset)

    async def _learn(
        self, fault: Fault, job: Job, token: PoeToken, began: float
    ) -> TokenUpdate | None:
        """Heed what the fault says of the token, and return what all workers should know."""
        proven = await self._proof(fault, token)
        now = time.monotonic()
        strikes = 0
        if proven or (fault.kind is FaultKind.RATE_LIMITED and not fault.in_band):
            strikes = self._pool.strike(token.id, began, now)
        luck = random.random()  # noqa: S311
        note = penalty_of(
            proven or fault, model=job.model, strikes=strikes, luck=luck, proven=bool(proven)
        )
        if note is None:
            return None
        if note.rest:
            self._pool.rest(token, now + note.rest)
        if note.park:
            self._pool.park(token.id, now + note.park, note.state)
            _log.error("%s is set aside: %s", token.label, note.reason)
        if note.unfit:
            self._pool.mark_unfit(token.id, job.model, now + note.unfit)
        return note

    async def _proof(self, fault: Fault, token: PoeToken) -> Fault | None:
        """Return what the token's own balance says is wrong with it, where that is in question."""
        if not token_penalties.needs_proof(fault.kind):
            return None
        kind = await self._balances.fault_of(token)
        if kind is None:
            return None
        # So it was no bot's invention.
        fault.in_band = False
        return Fault(kind)

    def _in_background(self, call: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.create_task(_until_done(call))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _until_done(call: Callable[[], Coroutine[None, None, None]]) -> None:
    """Repeat a call to Redis until it works, or until its grant has lapsed anyway."""
    give_up = time.monotonic() + GRANT_LIFE
    pause = 0.05
    while True:
        try:
            return await call()
        except RedisFault:
            if time.monotonic() > give_up:
                return None
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
