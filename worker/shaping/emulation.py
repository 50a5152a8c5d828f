"""Finds tool calls in the text of a bot that does not know tools.

    Text ──► words ──► <tool_call …> ──► body ──► </tool_call> ──► after ──► next call, or the end
             shown      held back from here on

Marks never reach the client: whatever may be the beginning of one waits, and with it the white
space and the line of a code fence before it. Behind the last call nothing is the answer's: models
go on to invent the results, so the answer ends there at once.

Calls are sent at the end of the answer, all or none: they are of no use before, and as long as
none is out a Mismatch can still be mended by asking again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from secrets import token_hex

import msgspec

from contract.messages import (
    Event,
    Finished,
    FinishReason,
    Options,
    Replaced,
    Text,
    Tool,
    ToolCallDelta,
)
from worker.shaping import grammar
from worker.shaping.checks import AreStrict, Ask, Called, Verdict
from worker.shaping.grammar import Unreadable, WrittenCall
from worker.shaping.mismatch import Mismatch
from worker.shaping.reasoning import overlap

_MARKS = ("<tool_call ", "<tool_calls>", "</tool_calls>")
_MARK = re.compile(r"<tool_calls?(?=[\s/>])")
_CALL = re.compile(r"<tool_call(?=[\s/>])")

# The line of a code fence, whole or begun, at the end of a text.
_FENCE_LAST = re.compile(r"\n[ \t]{0,8}`{1,3}\w{0,12}\Z")
_FENCE_LENGTH = 24
_FENCE = re.compile(r"\n[ \t]*```")

_BETWEEN = re.compile(r"(?:\s|`{1,3}\w*|</?tool_calls>)*")
"""What may stand between two calls."""

_MAX_OPENING = 1000
"""Characters of an opening mark with its attributes."""

_MAX_ENDS = 100
"""`</tool_call>` within one call that are tried for its end."""

_MAX_READ = 4 * 1024 * 1024
"""Characters of one call that are read in vain before it is given up."""

_MAX_CALLS = 128
"""Calls in one answer; as many as Poe's own events may have."""

_MAX_NAME = 64
"""Characters of a tool's name; OpenAI's bound."""


def new_call_id() -> str:
    """Make an id in OpenAI's form."""
    return f"call_{token_hex(12)}"


class CallParser:
    """Reads one text that only grows: what of it is shown, and the calls in it."""

    def __init__(self, tools: Mapping[str, Tool], *, one_call: bool) -> None:
        self.calls: list[WrittenCall] = []
        self.fault = ""
        """How the text breaks the grammar."""
        self.is_over = False
        """Nothing that may still come is of interest."""
        self._tools = tools
        self._one_call = one_call
        self._step: Callable[[], bool] = self._words
        self._shown: list[str] = []
        # The text's beginning is the beginning of a line: the first character is never shown.
        self._held = "\n"
        self._begun = False
        self._fences = 0
        self._call: list[str] = []
        self._tail = ""
        self._opening: re.Match[str] | None = None
        self._sought = 0
        self._ends = 0
        self._read = 0

    def feed(self, text: str) -> str:
        """Return what is added to the shown text."""
        self._held += text
        while not self.is_over and self._step():
            pass
        return self._taken()

    def finish(self) -> str:
        """Decide, because nothing follows."""
        if self.is_over:
            return ""
        if self._step == self._words and not self._held.endswith(grammar.OPEN):
            self._show(len(self._held))
        elif self._step != self._between or not self.calls:
            self._break("a tool call was begun and not ended in the form that was described")
        self.is_over = True
        return self._taken()

    def _taken(self) -> str:
        shown = "".join(self._shown)
        self._shown.clear()
        return shown

    # Each step takes something off what is held, or becomes another step, and tells whether it
    # did: if not, it waits for more text.

    def _words(self) -> bool:
        if match := _MARK.search(self._held):
            end = len(self._held[: match.start()].rstrip())
            fence = self._fence_before(end)
            # An even number of fences before it: it opens a block, which is the call's.
            if fence is not None and self._count_fences(fence) % 2 == 0:
                end = len(self._held[:fence].rstrip())
            rest = self._held[match.start() :]
            self._show(end)
            self._held = rest
            self._step = self._between
            return True
        end = len(self._held) - max(overlap(self._held, mark) for mark in _MARKS)
        end = len(self._held[:end].rstrip())
        fence = self._fence_before(end)
        self._show(end if fence is None else len(self._held[:fence].rstrip()))
        return False

    def _fence_before(self, end: int) -> int | None:
        fence = _FENCE_LAST.search(self._held, max(0, end - _FENCE_LENGTH), end)
        return fence.start() if fence else None

    def _count_fences(self, end: int) -> int:
        return self._fences + len(_FENCE.findall(self._held, 0, end))

    def _show(self, end: int) -> None:
        if end > 0:
            self._fences = self._count_fences(end)
            self._shown.append(self._held[not self._begun : end])
            self._begun = True
            self._held = self._held[end:]

    def _between(self) -> bool:
        self._held = self._held.lstrip()
        match = _BETWEEN.match(self._held)
        rest = self._held[match.end() :] if match else self._held
        if _CALL.match(rest):
            self._held = rest
            self._begin_call()
            return True
        if any(mark.startswith(rest) for mark in _MARKS):
            return False
        if not self.calls:
            self._break("<tool_calls> was begun without a call")
        self.is_over = True
        return False

    def _begin_call(self) -> None:
        self._call, self._tail, self._opening = [], "", None
        self._sought = self._ends = self._read = 0
        self._step = self._inside

    def _inside(self) -> bool:
        # In pieces: to join them with each word would cost the square of the call's length.
        self._call.append(self._held)
        seam = self._tail + self._held
        self._tail = seam[-len(grammar.CLOSE) + 1 :]
        self._held = ""
        if self._opening is None:
            text = self._joined()
            self._opening = grammar.OPENING.match(text, 0, _MAX_OPENING)
            if self._opening is None:
                if len(text) >= _MAX_OPENING:
                    self._break("the opening mark of a tool call could not be read")
                return False
            if self._opening[2]:
                return self._end_call("", self._opening.end())
            return self._find_end()
        return grammar.CLOSE in seam and self._find_end()

    def _joined(self) -> str:
        self._call = ["".join(self._call)]
        return self._call[0]

    def _find_end(self) -> bool:
        text, opening = self._joined(), self._opening
        assert opening is not None  # noqa: S101
        self._sought = max(self._sought, opening.end())
        while (end := text.find(grammar.CLOSE, self._sought)) >= 0:
            if self._ends == _MAX_ENDS or self._read > _MAX_READ:
                self._break("a tool call could not be read")
                return False
            self._ends += 1
            self._read += end - opening.end()
            self._sought = end + 1
            if self._end_call(text[opening.end() : end], end + len(grammar.CLOSE)):
                return True
            if self.is_over:
                return False
        return False

    def _end_call(self, body: str, end: int) -> bool:
        assert self._opening is not None  # noqa: S101
        try:
            call = grammar.read(body, self._opening[1], self._tools)
        except Unreadable as error:
            self._break(str(error))
            return False
        if call is None:
            return False
        if len(self.calls) == _MAX_CALLS:
            self._break(f"there are more than {_MAX_CALLS} calls")
            return False
        self.calls.append(call)
        self._held = self._joined()[end:]
        self._step = self._between
        self.is_over = self._one_call
        return True

    def _break(self, fault: str) -> None:
        self.fault = fault
        self.is_over = True


class ToolEmulation:
    """The stage that makes `ToolCallDelta`s of the calls in the text.

    An answer with calls ends with `Finished("tool_calls")`. Raises Mismatch, before any call is
    sent, for a call that cannot be read, of a tool that may not be called, or whose arguments do
    not match the schema of a strict tool; and where a call is required and there is none: then
    the text waits for the end, too. A call that was cut by `length` is left out.
    """

    def __init__(self, options: Options, new_id: Callable[[], str] = new_call_id) -> None:
        self._tools = {tool.name: tool for tool in options.callable_tools}
        self._one_call = options.parallel_tool_calls is False
        self._required = options.tool_choice == "required"
        self._new_id = new_id
        self._parser = CallParser(self._tools, one_call=self._one_call)
        self._raw: list[str] = []
        self._withheld: list[str] = []

    def take(self, event: Event) -> list[Event] | Ask:
        match event:
            case Text(text):
                self._raw.append(text)
                events = self._show(self._parser.feed(text))
            case Replaced(text):
                self._raw, self._withheld = [text], []
                self._parser = CallParser(self._tools, one_call=self._one_call)
                shown = self._parser.feed(text)
                events = self._show(shown) if self._required else [Replaced(shown)]
            case Finished(reason):
                return self._finish(reason, [])
            case _:
                return [event]
        return self._finish("stop", events) if self._parser.is_over else events

    def flush(self) -> list[Event]:
        shown = "".join(self._withheld) + self._parser.finish()
        self._withheld.clear()
        return [Text(shown)] if shown else []

    def _show(self, shown: str) -> list[Event]:
        if self._required:
            self._withheld.append(shown)
            return []
        return [Text(shown)] if shown else []

    def _finish(self, reason: FinishReason, before: list[Event]) -> list[Event] | Ask:
        """End the answer, with what was shown `before`, as soon as its calls are seen to do."""
        shown = [*before, *self.flush()]
        is_cut = reason in ("length", "content_filter")

        def then(verdict: Verdict) -> list[Event]:
            if verdict.fault and not is_cut:
                answer = "".join(self._raw)
                raise Mismatch(verdict.fault, answer, shown, is_final=verdict.is_final)
            calls = [] if verdict.fault else self._parser.calls
            deltas = [self._delta(index, call) for index, call in enumerate(calls)]
            return [*shown, *deltas, Finished("tool_calls" if calls and not is_cut else reason)]

        fault, strict = self._fault(), self._strict()
        return then(Verdict(fault)) if fault or not strict else Ask(AreStrict(strict), then)

    def _strict(self) -> tuple[Called, ...]:
        calls = [(self._tools.get(call.name), call.arguments) for call in self._parser.calls]
        return tuple(
            Called(tool, msgspec.json.encode(arguments).decode())
            for tool, arguments in calls
            if tool is not None and tool.strict
        )

    def _delta(self, index: int, call: WrittenCall) -> ToolCallDelta:
        arguments = msgspec.json.encode(call.arguments).decode()
        return ToolCallDelta(index, self._new_id(), call.name, arguments)

    def _fault(self) -> str:
        """Return what is wrong with the calls; empty if nothing is."""
        if self._parser.fault:
            return f"The tool call is not usable: {self._parser.fault}."
        if self._required and not self._parser.calls:
            return "No tool was called, though one had to be."
        for call in self._parser.calls:
            if call.name not in self._tools:
                return f"There is no tool {call.name[:_MAX_NAME]!r} that may be called."
        return ""
