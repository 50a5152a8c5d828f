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
        self._ids: dict[int, str] = {}
        """By the index that the client is told."""
        self._places: dict[int, int] = {}
        """That index, by the upstream's."""
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._ids)

    def take(self, fragments: Iterable[ToolCallDelta]) -> list[ToolCallDelta]:
        """Return the fragments, a call's id and name in its first one only.

        Raises Fault(PROTOCOL) beyond the bounds.
        """
        return [self._take(fragment) for fragment in fragments]

    def _take(self, call: ToolCallDelta) -> ToolCallDelta:
        self._size += len(call.id) + len(call.name) + len(call.arguments)
        place = self._places.get(call.index)
        if place is not None and not self._is_another(call, self._ids[place]):
            # Some models repeat the name with each fragment.
            call = ToolCallDelta(place, arguments=call.arguments)
        else:
            place = call.index if call.index not in self._ids else max(self._ids) + 1
            self._places[call.index] = place
            self._ids[place] = call.id
            call = ToolCallDelta(place, call.id, call.name, call.arguments)
        if len(self._ids) > MAX_TOOL_CALLS or self._size > MAX_ARGUMENTS:
            raise Fault(FaultKind.PROTOCOL)
        return call

    @staticmethod
    def _is_another(call: ToolCallDelta, known: str) -> bool:
        """Tell a second call under an index: models that count none send each in its own chunk.

        A new id alone does not tell, for some servers make one up with every fragment.
        """
        return bool(call.name and call.id and known) and call.id != known
