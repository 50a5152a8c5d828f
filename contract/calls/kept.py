"""The calls about answers that are kept."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from contract.calls.call import Call, Word, milliseconds
from contract.codec import encode
from contract.lifetimes import ANSWER_LIFE
from contract.messages import Failed


class Turn(msgspec.Struct, frozen=True):
    """One request of a conversation, and its answer."""

    job: str
    input: bytes
    output: bytes
    """What the answer's log amounts to; empty: it is not settled yet."""


class Broken(msgspec.Struct, frozen=True):
    """Why a conversation cannot be had as a whole."""

    reason: Literal["unknown", "unended", "large"]
    job: str
    """The answer that is not there or another client's, has not ended, or is too large."""


class Recall(Call[tuple[Turn, ...] | Broken], frozen=True, kw_only=True):
    """Return the turns up to this answer, the first one first."""

    script: ClassVar[str] = "recall"

    job: str
    client: str
    most: int
    """Bytes of all turns."""
    continued: bool
    """Whether they are used again, and so are kept for longer."""

    def arguments(self) -> list[Word]:
        return [self.job, self.client, self.most, int(self.continued)]

    def read(self, reply: Any) -> tuple[Turn, ...] | Broken:
        verdict, where, *words = reply
        if verdict != b"ok":
            return Broken(verdict.decode(), where.decode())
        turns = zip(words[::3], words[1::3], words[2::3], strict=True)
        return tuple(Turn(job.decode(), *texts) for job, *texts in turns)[::-1]


class Settle(Call[bool], frozen=True, kw_only=True):
    """Keep what an answer's log amounts to. Returns whether that was new."""

    script: ClassVar[str] = "settle"

    job: str
    output: bytes

    def arguments(self) -> list[Word]:
        return [self.job, self.output]

    def read(self, reply: Any) -> bool:
        return bool(reply)


class Discard(Call[bool], frozen=True, kw_only=True):
    """Delete a kept answer for its client. Returns whether there was one of this client's."""

    script: ClassVar[str] = "discard"

    job: str
    client: str
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        return [self.job, self.client, milliseconds(self.answer_life)]

    def read(self, reply: Any) -> bool:
        return bool(reply)


Stopped = Literal["unknown", "attended", "ended", "told", "waits"]


class Stop(Call[Stopped], frozen=True, kw_only=True):
    """Cancel an answer that goes on without its client, whoever reads it.

    Returns what became of it: it is `unknown` to this client, `attended` (it ends with its client),
    has `ended`, its worker was `told`, or it `waits`.
    """

    script: ClassVar[str] = "stop"

    job: str
    client: str
    end: Failed
    if_overdue: bool = False
    """Whether it is left alone unless it has waited too long."""
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        life, events = milliseconds(self.answer_life), encode((self.end,))
        return [self.job, self.client, life, events, int(self.if_overdue)]

    def read(self, reply: Any) -> Stopped:
        outcome: Stopped = reply.decode()
        return outcome


class MakeRoom(Call[int], frozen=True, kw_only=True):
    """Discard the oldest kept answers, about `wanted` bytes of them. Returns how many."""

    script: ClassVar[str] = "make_room"

    wanted: int

    def arguments(self) -> list[Word]:
        return [self.wanted]

    def read(self, reply: Any) -> int:
        return int(reply)
