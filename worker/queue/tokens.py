"""What Redis decides and knows of Poe tokens: grants, calls in flight, and their states."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from contract.calls.accounts import ReportTokens, SeenToken
from contract.calls.call import Word
from contract.calls.stored_tokens import Listed, ReadTokens
from contract.calls.tokens import (
    NOTHING_NEW,
    Acquire,
    Extend,
    Grant,
    Lost,
    Parked,
    Refused,
    Release,
    Short,
    TokenState,
    TokenStates,
    TokenUpdate,
)
from worker.config import PoeToken
from worker.policy.leases import Lease
from worker.policy.token_pool import WINDOW, margin
from worker.queue.session import RedisSession

PAGE = 1000
"""Tokens that one script is asked about, which takes it a millisecond."""


class Granted(msgspec.Struct, frozen=True):
    """The call may start."""

    at: float
    """When it was granted, by Redis's clock in milliseconds."""
    asked: float
    """When it was asked for, by our monotonic clock in seconds: before it was granted."""

    def on_redis_clock(self, now: float) -> float:
        """Return `now`, of our monotonic clock, in milliseconds of Redis's clock, or later."""
        return self.at + (now - self.asked) * 1000 + 1


class Tokens:
    """The tokens of one worker, in Redis."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session

    async def acquire(
        self,
        token: PoeToken,
        lease: Lease,
        job: tuple[str, int],
        grant: str,
        *,
        guard: float,
        others: Iterable[str] = (),
    ) -> Granted | Refused | Parked | Lost | Short:
        """Ask for one call with this token; a grant must be used within `guard` seconds.

        `job` is the id of the job and the epoch in which it is ours; `others` are the ids of the
        other tokens of the account.
        """
        asked = time.monotonic()
        name, epoch = job
        acquire = Acquire(
            worker=self._session.worker,
            batch=lease.batch,
            fence=lease.fence,
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
            label=token.label,
            others=others,
        )
        reply = await self._session.run(acquire, patience=0.0)
        return Granted(reply.at, asked) if isinstance(reply, Grant) else reply

    async def extend(self, grants: Iterable[tuple[PoeToken, str]]) -> None:
        """Keep calls in flight counted."""
        calls = [(token.id, token.account, grant) for token, grant in grants]
        await self._session.run(Extend(calls))

    async def release(
        self, token: PoeToken, grant: str, *, used: bool, update: TokenUpdate | None = None
    ) -> None:
        """Note that a call has ended, or was never made, and what it has taught of the token."""
        await self._session.run(
            Release(
                token=token.id,
                account=token.account,
                grant=grant,
                used=used,
                update=update or NOTHING_NEW,
            )
        )

    async def states(self, tokens: Sequence[PoeToken]) -> dict[str, TokenState]:
        """Return what all workers have learned of these tokens, by their ids."""
        states = {token.id: TokenState() for token in tokens}
        for start in range(0, len(tokens), PAGE):
            page = [token.id for token in tokens[start : start + PAGE]]
            known = await self._session.run(TokenStates(page))
            states.update(known)
        return states

    async def stored(self, version: str) -> Listed:
        """Return the tokens that are kept in Redis, unless `version` is that of them."""
        return await self._session.run(ReadTokens(version))

    async def note_balance(self, tokens: Iterable[PoeToken], points: int) -> None:
        """Note how many points are left of the account that these tokens have, and when."""
        noted: list[Word] = ["points", points, "points_at", round(time.time() * 1000)]
        async with self._session.redis.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.hset(self._session.keys.token(token.id), items=noted)
            await pipe.execute()

    async def report(self, tokens: Mapping[str, SeenToken]) -> None:
        """Say which tokens we have."""
        ids = list(tokens)
        for start in range(0, len(ids), PAGE):
            page = {each: tokens[each] for each in ids[start : start + PAGE]}
            await self._session.run(ReportTokens(page))
