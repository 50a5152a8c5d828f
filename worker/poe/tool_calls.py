"""Assembles tool calls out of fragments, within bounds.

Agents run what comes out here, so a call is exactly what the model wrote, or the answer fails. By
OpenAI's rules the `index` tells which call a fragment belongs to; upstreams leave it out, repeat
it, or count from 1. So these are the rules, the first that applies:

    a name under a new place (index)            begins a call
    another name, or a name with another id     begins a call, though its place is taken
    a name again, behind whole arguments        begins a call of the same function
    anything else under a known place or id     is that call's
    neither place nor id nor name               is the last call's

Whatever fits none of them fails the answer, and so does what is no call's arguments. Calls go
out numbered from 0, one after the other, even where the upstream interleaves them: OpenAI's own
helper takes a call for whole as soon as another begins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from contract.messages import ToolCallDelta
from worker.poe.faults import Fault, FaultKind
from worker.poe.partial_call import Fragment, PartialCall
from worker.poe.surrogates import whole

MAX_TOOL_CALLS = 128
"""Tool calls of one answer: as many as OpenAI lets a request have tools."""

MAX_ARGUMENTS = 8 * 1024 * 1024
"""Characters of all of an answer's calls; files that agents write are the longest arguments."""


class ToolCallAssembly:
    """The tool calls of one answer; `tools` are the names that may be called, where known."""

    def __init__(self, tools: Collection[str] = ()) -> None:
        self._tools = frozenset(tools)
        self._calls: list[PartialCall] = []
        self._by_place: dict[str, PartialCall] = {}
        self._by_id: dict[str, PartialCall] = {}
        self._last: PartialCall | None = None
        self._unnamed: dict[str | None, str] = {}
        """The ids of calls whose names have not come yet, by their places."""
        self._telling = 0
        """Which call goes out now; those behind it wait."""
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def are_whole(self) -> bool:
        """Return whether nothing is known to be missing; a call without arguments is whole."""
        return not self._unnamed and not any(call.is_open for call in self._calls)

    def take(self, fragments: Iterable[Fragment]) -> list[ToolCallDelta]:
        """Return what is added to the calls, an id and a name in a call's first fragment only.

        Raises Fault(PROTOCOL) for what is no part of a call, and beyond the bounds.
        """
        told: list[ToolCallDelta] = []
        for fragment in fragments:
            self._take(fragment)
            told += self._due()
        return told

    def finish(self) -> list[ToolCallDelta]:
        """Return what was held back, because nothing follows."""
        for call in self._calls:
            call.end()
        told = [delta for call in self._calls[self._telling :] for delta in call.due()]
        self._telling = len(self._calls)
        return told

    def _take(self, fragment: Fragment) -> None:
        self._size += len(fragment.id) + len(fragment.name) + len(fragment.arguments)
        if not fragment.is_sound or self._size > MAX_ARGUMENTS:
            raise Fault(FaultKind.PROTOCOL)
        call = self._call_of(fragment)
        if call is not None:
            call.add(fragment.arguments)
            self._last = call

    def _call_of(self, fragment: Fragment) -> PartialCall | None:
        """Return the call that the fragment adds to; None if it adds nothing."""
        call, has_arguments = self._known(fragment), bool(fragment.arguments.strip())
        if call is None and not fragment.name:
            self._await_name(fragment)
            return None
        if call is None:
            return self._begin(fragment)
        if fragment.name and self._begins_another(fragment, call):
            return self._begin(fragment)
        if call.again and has_arguments:
            again = msgspec.structs.replace(call.again, place=fragment.place)
            call.again = None
            return self._begin(again)
        if fragment.name and fragment.name != call.name:
            call.name += fragment.name
        elif fragment.name and call.is_whole and not has_arguments:
            call.again = fragment
        return call

    def _known(self, fragment: Fragment) -> PartialCall | None:
        """Return the call that the fragment's place or id names."""
        by_id = self._by_id.get(fragment.id)
        if fragment.place is None:
            return by_id or self._last
        by_place = self._by_place.get(fragment.place)
        if by_place is None:
            # Ids may repeat themselves, so a name counts for more.
            return None if fragment.name else by_id
        return by_id if by_id is not None and by_id.place == fragment.place else by_place

    def _begins_another(self, fragment: Fragment, call: PartialCall) -> bool:
        """Return whether a fragment that has a name, at a place that is taken, begins another
        call."""
        arguments = fragment.arguments.strip()
        if fragment.id and call.id and fragment.id != call.id:
            # Unless the id was made up for a fragment that goes on amid the arguments.
            goes_on = fragment.name == call.name and call.is_open and arguments[:1] not in ("", "{")
            return not goes_on
        if fragment.name != call.name:
            return not self._spells_on(fragment, call)
        is_repeated = bool(fragment.id) and call.repeats(arguments)
        return call.is_whole and bool(arguments) and not is_repeated

    def _spells_on(self, fragment: Fragment, call: PartialCall) -> bool:
        """Return whether this is the next part of a name that comes in parts."""
        name = call.name + fragment.name
        is_part = fragment.name not in self._tools and any(t.startswith(name) for t in self._tools)
        return is_part and not call.has_arguments

    def _await_name(self, fragment: Fragment) -> None:
        if fragment.arguments.strip():
            raise Fault(FaultKind.PROTOCOL)
        if fragment.id:
            self._unnamed[fragment.place] = fragment.id

    def _begin(self, fragment: Fragment) -> PartialCall:
        call_id = whole(fragment.id or self._unnamed.pop(fragment.place, ""))
        index = len(self._calls)
        if index == MAX_TOOL_CALLS:
            raise Fault(FaultKind.PROTOCOL)
        # Two calls of one id could not be told apart; without any they get one of the gateway's.
        told_id = "" if call_id in self._by_id else call_id
        call = PartialCall(index, fragment, told_id)
        self._calls.append(call)
        if call_id:
            self._by_id[call_id] = call
        if fragment.place is None:
            self._by_place.setdefault(str(index), call)
        else:
            self._by_place[fragment.place] = call
        return call

    def _due(self) -> list[ToolCallDelta]:
        told: list[ToolCallDelta] = []
        last = len(self._calls) - 1
        while self._telling <= last and self._is_named(self._telling):
            told += self._calls[self._telling].due()
            if self._telling == last or not self._calls[self._telling].is_whole:
                break
            self._telling += 1
        return told

    def _is_named(self, index: int) -> bool:
        """Return whether a call's name has come to its end."""
        call = self._calls[index]
        if call.has_arguments or index < len(self._calls) - 1:
            return True
        return not any(tool != call.name and tool.startswith(call.name) for tool in self._tools)
