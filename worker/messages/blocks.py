"""The blocks of an answer while they arrive: what is open, and whether its tool calls are whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.poe.argument_scanner import ArgumentScanner
from worker.poe.faults import Fault, FaultKind
from worker.poe.surrogates import SurrogateJoiner

MAX_BLOCKS = 10_000
"""Blocks of one answer."""

_CALL = "tool_use"
"""How the types of all blocks end that are calls: `server_tool_use`, `mcp_tool_use`."""


@dataclass
class Block:
    """A block that is open."""

    kind: str
    """Its type."""
    halves: SurrogateJoiner = field(default_factory=SurrogateJoiner)
    arguments: ArgumentScanner = field(default_factory=ArgumentScanner)
    has_arguments: bool = False

    @property
    def is_call(self) -> bool:
        """Return whether the block is a call of a tool, the client's or Poe's."""
        return self.kind.endswith(_CALL)

    @property
    def text_delta(self) -> str:
        """Return the type of the deltas that bring it text."""
        if self.is_call:
            return "input_json_delta"
        return "thinking_delta" if self.kind == "thinking" else "text_delta"

    @property
    def is_whole(self) -> bool:
        """Return whether nothing of its arguments is missing; a call may have none."""
        return not self.has_arguments or self.arguments.is_whole

    def add_arguments(self, text: str) -> None:
        """Take more of a call's arguments.

        Raises Fault(PROTOCOL) for more behind their end, and for what is no object.
        """
        if begun := text.lstrip():
            if not self.has_arguments and not begun.startswith("{"):
                raise Fault(FaultKind.PROTOCOL)
            self.has_arguments = True
        self.arguments.add(text)
        if self.arguments.is_overrun:
            raise Fault(FaultKind.PROTOCOL)


class Blocks:
    """All blocks of one answer. What does not fit together raises Fault(PROTOCOL)."""

    def __init__(self) -> None:
        self.open: dict[int, Block] = {}
        self.has_calls = False
        """Whether a tool of the client's is called."""
        self.are_whole = True
        """Whether each call that is closed had all of its arguments."""
        self._seen: set[int] = set()

    @property
    def is_call_open(self) -> bool:
        """Return whether a call is open, so that whatever is lost may belong to it."""
        return any(block.is_call for block in self.open.values())

    def start(self, index: object, kind: object) -> Block:
        """Open a block."""
        is_index = isinstance(index, int) and not isinstance(index, bool) and index >= 0
        if not is_index or not isinstance(kind, str) or index in self._seen:
            raise Fault(FaultKind.PROTOCOL)
        assert isinstance(index, int)  # noqa: S101  # mypy does not follow `is_index`
        if len(self._seen) == MAX_BLOCKS:
            raise Fault(FaultKind.PROTOCOL)
        self._seen.add(index)
        block = self.open[index] = Block(kind)
        self.has_calls = self.has_calls or kind == _CALL
        return block

    def at(self, index: object) -> Block:
        """Return the open block of this index."""
        block = self.open.get(index) if isinstance(index, int) else None
        if block is None:
            raise Fault(FaultKind.PROTOCOL)
        return block

    def stop(self, index: int) -> None:
        """Close a block."""
        block = self.open.pop(index)
        if block.is_call and not block.is_whole:
            self.are_whole = False
