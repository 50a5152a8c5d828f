"""Where the run of one job stands: a phase that only goes forward, and why it must stop, if so."""

from __future__ import annotations

import enum


class Phase(enum.IntEnum):
    """How far a run has come."""

    WAITING = 0
    """Its task has not taken its first step."""
    ASKING = 1
    """Nothing of the answer is on its way to the client, so another call may be made."""
    ANSWERING = 2
    """Something of the answer is on its way: no other call may be made."""
    ENDED = 3
    """The last event, or the job itself, is on its way; nothing may follow."""


class Stop(enum.IntEnum):
    """Why a run must stop. A greater reason overrules a lesser one."""

    CLIENT_LEFT = 1
    DRAIN = 2
    """The worker must stop, and the run with it."""
    REASSIGNED = 3
    """Another worker has the job now."""


class RunState:
    """The phase of a run, and the reason to stop it."""

    def __init__(self) -> None:
        self.phase = Phase.WAITING
        self.stop: Stop | None = None

    def __repr__(self) -> str:
        return f"<RunState {self.phase.name}{f', {self.stop.name}' if self.stop else ''}>"

    def reach(self, phase: Phase) -> None:
        """Go forward to this phase; a run that is beyond it stays where it is."""
        self.phase = max(self.phase, phase)

    def request_stop(self, stop: Stop) -> bool:
        """Note a reason to stop; return whether the run has to be interrupted.

        A task that is cancelled before its first step never runs at all, so a waiting run has to
        look by itself. One that has ended needs no interruption.
        """
        self.stop = max(stop, self.stop or stop)
        return Phase.WAITING < self.phase < Phase.ENDED
