"""Tools that were asked to be strict, called over a protocol that ignores it, as Poe's do."""

from __future__ import annotations

from contract.messages import Event, Finished, Options, ToolCallDelta
from worker.shaping.checks import AreStrict, Ask, Called, Verdict
from worker.shaping.mismatch import Mismatch


class StrictCalls:
    """The stage that holds the upstream's own calls back until their arguments are seen to match.

    Text and thoughts pass at once, so a Mismatch may come after output. Calls that were cut, in
    an answer that says so, are sent as they are.
    """

    def __init__(self, options: Options) -> None:
        self._tools = {tool.name: tool for tool in options.tools if tool.strict}
        self._held: list[ToolCallDelta] = []

    def take(self, event: Event) -> list[Event] | Ask:
        match event:
            case ToolCallDelta():
                self._held.append(event)
                return []
            case Finished(reason):
                calls = self._strict() if reason in ("stop", "tool_calls") else ()
                return self._asking(calls, event) if calls else [*self.flush(), event]
            case _:
                return [event]

    def flush(self) -> list[Event]:
        held, self._held = self._held, []
        return list(held)

    def _asking(self, calls: tuple[Called, ...], end: Finished) -> Ask:
        def then(verdict: Verdict) -> list[Event]:
            if verdict.fault:
                answer = "\n".join(f"{call.tool.name}({call.arguments})" for call in calls)
                raise Mismatch(verdict.fault, answer, is_final=verdict.is_final)
            return [*self.flush(), end]

        return Ask(AreStrict(calls), then)

    def _strict(self) -> tuple[Called, ...]:
        """Return the calls that are held, as far as they are of strict tools."""
        calls: dict[int, list[ToolCallDelta]] = {}
        for delta in self._held:
            calls.setdefault(delta.index, []).append(delta)
        named = (
            ("".join(delta.name for delta in deltas), "".join(delta.arguments for delta in deltas))
            for deltas in calls.values()
        )
        return tuple(
            Called(self._tools[name], arguments) for name, arguments in named if name in self._tools
        )
