"""Tools that were asked to be strict, called over a protocol that ignores it, as Poe's do."""

from __future__ import annotations

import msgspec

from contract.messages import Event, Finished, Options, ToolCallDelta
from worker.shaping.emulation import strict_fault
from worker.shaping.mismatch import Mismatch


class StrictCalls:
    """The stage that holds the upstream's own calls back until their arguments are seen to match.

    Text and thoughts pass at once, so a Mismatch may come after output. Calls that were cut, in
    an answer that says so, are sent as they are.
    """

    def __init__(self, options: Options) -> None:
        self._tools = {tool.name: tool for tool in options.tools if tool.strict}
        self._held: list[ToolCallDelta] = []

    def take(self, event: Event) -> list[Event]:
        match event:
            case ToolCallDelta():
                self._held.append(event)
                return []
            case Finished(reason):
                if reason in ("stop", "tool_calls"):
                    self._check()
                return [*self.flush(), event]
            case _:
                return [event]

    def flush(self) -> list[Event]:
        held, self._held = self._held, []
        return list(held)

    def _check(self) -> None:
        calls: dict[int, list[ToolCallDelta]] = {}
        for delta in self._held:
            calls.setdefault(delta.index, []).append(delta)
        for deltas in calls.values():
            name = "".join(delta.name for delta in deltas)
            arguments = "".join(delta.arguments for delta in deltas)
            tool = self._tools.get(name)
            if tool is None:
                continue
            try:
                value = msgspec.json.decode(arguments or "{}")
            except (msgspec.DecodeError, RecursionError):
                fault = f"The arguments of {name!r} are not JSON."
            else:
                fault = strict_fault(tool, value)
            if fault:
                raise Mismatch(fault, f"{name}({arguments})")
