"""One tool call while it arrives: the fragments that come in, and the deltas that go out."""

from __future__ import annotations

import msgspec

from contract.messages import ToolCallDelta
from worker.poe.argument_scanner import ArgumentScanner
from worker.poe.faults import Fault, FaultKind
from worker.poe.surrogates import SurrogateJoiner, whole


class Fragment(msgspec.Struct, frozen=True):
    """A part of a tool call, as an upstream sends it. Text may hold halves of surrogate pairs."""

    place: str | None
    """The place of its call among the others; None: it has none."""
    id: str = ""
    name: str = ""
    arguments: str = ""
    is_sound: bool = True
    """Whether its fields have the right types."""


class PartialCall:
    """A call so far, and what of it has not gone out yet."""

    def __init__(self, index: int, fragment: Fragment, told_id: str) -> None:
        self.place = fragment.place
        self.id = fragment.id
        self.name = fragment.name
        self.again: Fragment | None = None
        """A fragment that repeats its name behind whole arguments: another call, if arguments
        follow."""
        self._index = index
        self._told_id = told_id
        self._extent = ArgumentScanner()
        self._halves = SurrogateJoiner()
        self._arguments: list[str] = []
        self._told = 0
        self._is_begun = False

    @property
    def has_arguments(self) -> bool:
        return bool(self._arguments)

    @property
    def is_open(self) -> bool:
        """Return whether the end of the arguments is missing."""
        return self._extent.is_open

    @property
    def is_whole(self) -> bool:
        """Return whether the arguments have come to their end."""
        return self._extent.is_whole

    def repeats(self, arguments: str) -> bool:
        """Return whether these are its arguments, whole, once more."""
        return self.is_whole and arguments.strip() == "".join(self._arguments).strip()

    def add(self, arguments: str) -> None:
        """Add to the arguments.

        Raises Fault(PROTOCOL) for more behind their end, unless it only repeats them.
        """
        if self.is_whole and (not arguments.strip() or self.repeats(arguments)):
            return
        joined = self._halves.join(arguments)
        self._extent.add(joined)
        if self._extent.is_overrun:
            raise Fault(FaultKind.PROTOCOL)
        # White space alone is no JSON, and a call may have no arguments.
        if self._arguments or joined.strip():
            self._arguments.append(joined)

    def end(self) -> None:
        """Take the end of the answer."""
        if rest := self._halves.rest():
            self._arguments.append(rest)

    def due(self) -> list[ToolCallDelta]:
        """Return what has not gone out yet."""
        more = "".join(self._arguments[self._told :])
        self._told = len(self._arguments)
        if not self._is_begun:
            self._is_begun = True
            return [ToolCallDelta(self._index, self._told_id, whole(self.name), more)]
        return [ToolCallDelta(self._index, arguments=more)] if more else []
