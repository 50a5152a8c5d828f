"""Kept answers in Redis: found, read, continued, stopped and discarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract.calls.kept import (
    Broken,
    Discard,
    MakeRoom,
    Recall,
    Settle,
    Stop,
    Stopped,
    Turn,
)
from contract.codec import decode_record
from contract.messages import Event, Failed, FailureKind
from gateway.queue.server import Server

PAGE = 200
"""Records read from a log at a time, so that others' answers are passed on meanwhile."""

_CANCELLED = Failed(FailureKind.CANCELLED, "The response was cancelled.", charged=True)

_TOO_LATE = Failed(FailureKind.QUEUE_TIMEOUT, "The request waited too long for a free Poe key.")


@dataclass(frozen=True)
class Found:
    """What is kept of an answer beside its log."""

    head: bytes
    """What it takes to render the answer."""
    input: bytes
    previous: str
    """The job whose answer the request goes on from; empty: none."""
    background: bool
    has_ended: bool
    has_begun: bool
    """Whether a worker has had it."""


@dataclass(frozen=True)
class Absent:
    """That an answer is not there, or not for this client."""

    why: str = ""
    """What became of it: `deleted`, `expired` or `room`; empty: not known."""


class KeptAnswers:
    """The kept answers as one gateway uses them. All of it raises RedisFault."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def find(self, job: str, client: str) -> Found | Absent:
        """Return what is kept of a client's answer."""
        keys = self._server.keys
        async with self._server.redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.kept(job))
            pipe.hmget(keys.job(job), ["state", "epoch"])
            replies: Any = await self._server.soon(_all(pipe))
        kept, (state, epoch) = replies
        if kept.get(b"was") == client.encode():
            return Absent(kept[b"gone"].decode())
        if kept.get(b"client") != client.encode():
            return Absent()
        return Found(
            head=kept[b"head"],
            input=kept[b"input"],
            previous=kept[b"previous"].decode(),
            background=kept[b"background"] == b"1",
            has_ended=b"bytes" in kept or state in (None, b"done"),
            has_begun=int(epoch or 0) > 0,
        )

    async def events(self, job: str) -> list[Event]:
        """Return all events of an answer's log."""
        events: list[Event] = []
        last = "-"
        while True:
            rows: Any = await self._server.soon(self._page(job, last))
            for _, fields in rows:
                events += decode_record(fields[b"r"]).events
            if len(rows) < PAGE:
                return events
            last = f"({rows[-1][0].decode()}"

    async def _page(self, job: str, first: str) -> Any:
        return await self._server.redis.xrange(self._server.keys.log(job), first, "+", count=PAGE)

    async def recall(
        self, job: str, client: str, *, most: int, continued: bool
    ) -> tuple[Turn, ...] | Broken:
        """Return the turns up to this answer, of at most so many bytes, the first one first."""
        recall = Recall(job=job, client=client, most=most, continued=continued)
        return await self._server.run_soon(recall)

    async def settle(self, job: str, output: bytes) -> None:
        """Keep what an answer's log amounts to."""
        await self._server.run(Settle(job=job, output=output))

    async def discard(self, job: str, client: str) -> bool:
        """Delete an answer, and return whether it was there."""
        return await self._server.run_soon(Discard(job=job, client=client))

    async def stop(self, job: str, client: str) -> Stopped:
        """Cancel an answer that goes on without its client."""
        return await self._server.run_soon(Stop(job=job, client=client, end=_CANCELLED))

    async def end_if_overdue(self, job: str, client: str) -> None:
        """End an answer that goes on without its client, if it has waited too long."""
        stop = Stop(job=job, client=client, end=_TOO_LATE, if_overdue=True)
        await self._server.run_soon(stop)

    async def make_room(self, wanted: int) -> int:
        """Discard the oldest answers, about so many bytes of them; return how many."""
        return await self._server.run_soon(MakeRoom(wanted=wanted))


async def _all(pipe: Any) -> Any:
    return await pipe.execute()
