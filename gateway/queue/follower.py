"""One job that is followed: its log is the truth, and the subscription's frames a fast copy of it.

A record with the next id is delivered at once; one that is not above the last was delivered
before; anything else means: read on from the log. So nothing is lost, doubled or buffered. While
its reader is too slow it is paused, and goes on from the log later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from contract.messages import Failed, FailureKind, Record, is_terminal
from gateway.queue.batch import Batch
from store.faults import RedisFault

_log = logging.getLogger("gateway.queue.follower")

SILENCE = 1.0
LONGEST_SILENCE = 5.0
"""Seconds without a record after which the log is read; doubled for a job that stays silent."""

PAGE = 200
"""Records read from a log at a time."""

_LOST = Failed(
    FailureKind.INTERRUPTED, "A part of the answer was lost in the gateway's storage.", charged=True
)


_UNREADABLE = Failed(
    FailureKind.INTERNAL, "A part of the answer could not be understood.", charged=True
)


class Source(Protocol):
    """Where a log is read."""

    now: float
    batch: Batch

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> object: ...
    def cancel(self, job: str) -> None: ...
    async def read(self, job: str, after: str) -> list[Record]: ...


class Follower:
    """One job that is followed; `deliver` gets all its records, once and in order.

    If the answer is lost, a last record says so; it is not in the log, and has epoch 0.
    """

    def __init__(self, hub: Source, job: str, deliver: Callable[[Record], None]) -> None:
        self.job = job
        self.epoch = 0
        self.seq = 0
        self.look_at = 0.0
        """When to look into the log, unless a record comes before (monotonic clock)."""
        self._silence = SILENCE
        self._deliver = deliver
        self._hub = hub
        self._reading = False
        self._missed = False
        self._paused = False
        self._over = False

    @property
    def last_id(self) -> str:
        """The log id up to which all is delivered."""
        return f"{self.epoch}-{self.seq}"

    def heard(self, record: Record) -> None:
        """Take a record that came over the subscription."""
        if self._paused:
            return
        if self._reading:
            self._missed = True
        elif self._is_next(record):
            self._take(record)
        elif (record.epoch, record.seq) > (self.epoch, self.seq):
            self.read_log()

    def read_log(self) -> None:
        """Deliver what the log has beyond what was delivered."""
        if self._reading:
            self._missed = True
        elif not self._over and not self._paused:
            self._reading = True
            self._hub.spawn(self._read())

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on with what has come meanwhile."""
        self._paused = False
        self.read_log()

    def put_off(self, now: float) -> None:
        """Look into the log later: there was nothing new."""
        self._silence = min(2 * self._silence, LONGEST_SILENCE)
        self.look_at = now + self._silence

    async def _read(self) -> bool:
        """Read the log to its end; return whether that was possible."""
        try:
            self._missed = True
            while self._missed and self._is_delivering:
                self._missed = False
                records = await self._hub.read(self.job, self.last_id)
                self._missed = self._missed or len(records) == PAGE
                with self._hub.batch:
                    for record in records:
                        if self._is_delivering:
                            self._take_from_log(record)
        except RedisFault as fault:
            _log.warning("cannot read an answer's log: %r", fault)
        except msgspec.DecodeError as error:
            _log.error("the log of job %s holds what no worker writes: %s", self.job, error)
            self._break_off(_UNREADABLE)
        else:
            return True
        finally:
            self._reading = False
        return False

    async def _read_the_last(self) -> None:
        if await self._read() and self._is_delivering:
            self._end_with(_LOST)

    def _take_from_log(self, record: Record) -> None:
        if self._is_next(record) or (record.epoch > self.epoch and record.seq == 1):
            self._take(record)
        elif (record.epoch, record.seq) > (self.epoch, self.seq):
            # Redis itself has lost a record, which must not be skipped in silence.
            self._break_off(_LOST)

    def _is_next(self, record: Record) -> bool:
        # A first epoch other than 1 means that there was one before it, which only the log has.
        return record.epoch == max(self.epoch, 1) and record.seq == self.seq + 1

    def _take(self, record: Record) -> None:
        if self._over:
            return
        self.epoch, self.seq = record.epoch, record.seq
        self._silence = SILENCE
        self.look_at = self._hub.now + SILENCE
        self._over = bool(record.events) and is_terminal(record.events[-1])
        self._deliver(record)

    @property
    def _is_delivering(self) -> bool:
        return not self._over and not self._paused

    @property
    def is_paused(self) -> bool:
        """Whether it waits for its reader."""
        return self._paused

    @property
    def is_long_silent(self) -> bool:
        """Whether nothing has been heard for as long as we ever wait between two looks."""
        return self._silence >= LONGEST_SILENCE

    def vanish(self) -> None:
        """Deliver what the log still has, and end: nothing more will be appended.

        While the log is being read or cannot be read, nothing ends: the next look decides.
        """
        if not self._reading and self._is_delivering:
            self._reading = True
            self._hub.spawn(self._read_the_last())

    def stop(self) -> None:
        """Deliver nothing more."""
        self._over = True

    def _break_off(self, failed: Failed) -> None:
        # What the worker still appends cannot reach the client.
        self._hub.cancel(self.job)
        self._end_with(failed)

    def _end_with(self, failed: Failed) -> None:
        if not self._over:
            self._over = True
            self._deliver(Record(self.job, 0, 0, (failed,)))
