"""The tool calls of an answer, assembled from their fragments."""

from __future__ import annotations

from dataclasses import dataclass

from contract.messages import ToolCallDelta


@dataclass
class Call:
    """One call, as far as it has come."""

    index: int
    """Its place among the answer's calls, from 0."""
    id: str
    name: str
    has_arguments: bool = False


class ToolCalls:
    """Numbers the calls of one choice from 0, and names those that the upstream does not.

    A worker of an earlier version passed on the upstream's own numbers, which may have gaps.
    """

    def __init__(self, answer: str) -> None:
        """`answer` makes the names unique: clients match a tool's result to its call by them."""
        self._answer = answer
        self._calls: dict[int, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, delta: ToolCallDelta) -> tuple[Call, bool]:
        """Return the call that a fragment belongs to, and whether it has just begun."""
        call = self._calls.get(delta.index)
        is_new = call is None
        if call is None:
            index = len(self._calls)
            name = delta.id or f"call_{self._answer}_{index}"
            call = self._calls[delta.index] = Call(index, name, delta.name)
        call.has_arguments = call.has_arguments or bool(delta.arguments)
        return call, is_new

    def without_arguments(self) -> list[Call]:
        """Return the calls that have none, which clients want told as `{}`."""
        return [call for call in self._calls.values() if not call.has_arguments]
