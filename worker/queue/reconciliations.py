"""What workers know, between them, of the points history of Poe's accounts."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contract.calls.accounts import ReadTokensSeen
from contract.calls.call import milliseconds
from contract.calls.ledger import Correct
from contract.calls.reconciliation import Distribute
from contract.ledger import Correction, Request, decode_ledger_record
from worker.config import PoeToken
from worker.poe.points_history import Row
from worker.policy.reconciliation import REQUEST_LIFE, Open
from worker.queue.session import RedisSession, reply_of

LONGEST = 300.0
"""Seconds that one look may take; after them, another worker may begin one."""

KNOWN_FOR = REQUEST_LIFE + 2 * 3600_000
"""Milliseconds for which rows are known, so that none is taken for a new one."""

PAGE = 20
"""Accounts whose states are read at a time. One state can be long, where Poe's history could not be
read for hours, and nothing else runs while a page of them is decoded."""

_log = logging.getLogger("worker.queue")


class State(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one account. Times are in milliseconds."""

    looked: int = 0
    """When the history was last read as far back as was needed."""
    newest: int = 0
    """The time of the newest row then."""
    opens: tuple[Open, ...] = ()
    rows: tuple[Row, ...] = ()
    """The rows that are seen, and whose requests are not found."""
    unsent: tuple[tuple[Correction, tuple[str, ...]], ...] = ()
    """Corrections that are decided, with the budgets of each, but may not be made yet."""


_decode = msgspec.msgpack.Decoder(State).decode
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True)
class Taken:
    """One account's state, and the requests that have ended since."""

    state: State
    requests: tuple[Request, ...]
    lengths: dict[str, int]
    """How many entries each of the lists had that they were read from."""


class Reconciliations:
    """The states of accounts, in Redis."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session
        self._redis = session.redis
        self._keys = session.keys

    def now(self) -> int:
        """Return what time it is by Redis's clock, as it is in the ledger: in milliseconds."""
        clock = self._session.clock
        return round((clock.at(time.monotonic()) if clock.known else time.time()) * 1000)

    async def distribute(self) -> None:
        """Hand the requests of the ledger to their accounts."""
        while await self._session.run(Distribute(REQUEST_LIFE / 1000)):
            pass

    async def labels(self, accounts: Mapping[str, Sequence[PoeToken]]) -> dict[str, set[str]]:
        """Return the labels of all tokens of these accounts, of which we may have some only.

        Another worker has another one, or has had it until it was replaced.
        """
        labels = {account: {t.label for t in tokens} for account, tokens in accounts.items()}
        for seen in (await self._session.run(ReadTokensSeen())).values():
            if seen.account in labels:
                labels[seen.account].add(seen.label)
        return labels

    async def fresh(self, labels: Mapping[str, Iterable[str]]) -> set[str]:
        """Return the accounts, whose tokens have these labels, of which requests have ended."""
        each = [(account, label) for account, all_ in labels.items() for label in all_]
        async with self._redis.pipeline(transaction=False) as pipe:
            for _, label in each:
                pipe.exists(self._keys.unreconciled(label))
            found: list[Any] = await pipe.execute()
        return {account for (account, _), exists in zip(each, found, strict=True) if exists}

    async def claim(self, account: str) -> bool:
        """Return whether this worker is to look into an account's history now."""
        key = self._keys.reconciler(account)
        life = milliseconds(LONGEST)
        return bool(await self._redis.set(key, self._session.worker, nx=True, px=life))

    async def rest(self, account: str, seconds: float) -> None:
        """Let nobody look into it for so long; call it in time, while the claim holds."""
        key, life = self._keys.reconciler(account), max(milliseconds(seconds), 1)
        await self._redis.set(key, self._session.worker, px=life)

    async def take(self, account: str, labels: Collection[str]) -> Taken:
        """Return what is known of an account, whose tokens have these labels."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(self._keys.reconciliation(account))
            for label in labels:
                pipe.lrange(self._keys.unreconciled(label), 0, -1)
            known, *lists = await pipe.execute()
        return Taken(
            _state(known),
            tuple(request for entries in lists for request in _requests(entries)),
            {label: len(entries) for label, entries in zip(labels, lists, strict=True)},
        )

    async def states(self, accounts: Sequence[str]) -> AsyncIterator[tuple[str, State]]:
        """Yield accounts with what is known of each."""
        for start in range(0, len(accounts), PAGE):
            page = accounts[start : start + PAGE]
            found = await reply_of(self._redis.mget([*map(self._keys.reconciliation, page)]))
            for account, known in zip(page, found, strict=True):
                yield account, _state(known)

    async def known(self, account: str, rows: Sequence[Row]) -> set[str]:
        """Return the ids of those of the rows that were seen before."""
        if not rows:
            return set()
        ids = [row.query for row in rows]
        scores = await reply_of(self._redis.zmscore(self._keys.known_rows(account), ids))
        return {id_ for id_, score in zip(ids, scores, strict=True) if score is not None}

    async def save(
        self, account: str, state: State, taken: Taken, rows: Sequence[Row], now: int
    ) -> None:
        """Store an account's state, which the requests are in now, and that these rows are known.

        `now` is in milliseconds of Unix time.
        """
        rows_key, state_key = self._keys.known_rows(account), self._keys.reconciliation(account)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(state_key, _encode(state), px=KNOWN_FOR)
            for label, length in taken.lengths.items():
                if length:
                    pipe.ltrim(self._keys.unreconciled(label), length, -1)
            if rows:
                pipe.zadd(rows_key, {row.query: row.at for row in rows})
                pipe.zremrangebyscore(rows_key, "-inf", now - KNOWN_FOR)
                pipe.pexpire(rows_key, 2 * KNOWN_FOR)
            await pipe.execute()

    async def settle(self, account: str, state: State) -> None:
        """Store an account's state, whose corrections are made."""
        state = msgspec.structs.replace(state, unsent=())
        await self._redis.set(self._keys.reconciliation(account), _encode(state), px=KNOWN_FOR)

    async def correct(self, state: State) -> None:
        """Make the corrections that are decided; those that were made already change nothing."""
        for correction, budgets in state.unsent:
            await self._session.run(Correct(correction, budgets))


def _state(known: bytes | None) -> State:
    try:
        return _decode(known) if known else State()
    except msgspec.DecodeError as error:
        _log.warning("what another version knew of a points history cannot be read: %s", error)
        return State()


def _requests(entries: Iterable[bytes]) -> Iterable[Request]:
    for entry in entries:
        try:
            record = decode_ledger_record(entry)
        except msgspec.DecodeError as error:
            _log.warning("a request of another version cannot be read: %s", error)
            continue
        if isinstance(record, Request):
            yield record
