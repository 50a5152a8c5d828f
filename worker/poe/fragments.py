"""Tool calls while they arrive, in fragments and within bounds."""

from __future__ import annotations

from collections.abc import Iterable

from contract.messages import ToolCallDelta
from worker.poe.faults import Fault, FaultKind

MAX_TOOL_CALLS = 128
"""Tool calls of one answer: as many as OpenAI lets a request have tools."""

MAX_ARGUMENTS = 8 * 1024 * 1024
"""Characters of all of an answer's calls; files that agents write are the longest arguments."""


class Fragments:
    """The tool calls of one answer."""

    def __init__(self) -> None:
        self._calls: set[int] = set()
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def take(self, fragments: Iterable[ToolCallDelta]) -> list[ToolCallDelta]:
        """Return the fragments, a call's id and name in its first one only.

        Raises Fault(PROTOCOL) beyond the bounds.
        """
        return [self._take(fragment) for fragment in fragments]

    def _take(self, call: ToolCallDelta) -> ToolCallDelta:
        self._size += len(call.id) + len(call.name) + len(call.arguments)
        if call.index in self._calls:
            # Some models repeat the name with each fragment.
            call = ToolCallDelta(call.index, arguments=call.arguments)
        self._calls.add(call.index)
        if len(self._calls) > MAX_TOOL_CALLS or self._size > MAX_ARGUMENTS:
            raise Fault(FaultKind.PROTOCOL)
        return call
