"""Tells the calls of one answer apart, by the signs that their events have.

By OpenAI's rules an event names its item by `item_id` and by `output_index`. Upstreams leave one
of them out, repeat it, or make up a new one for each event. So both together count for most, then
the id, then the index; without either it is the last call's.
"""

from __future__ import annotations

from collections.abc import Sequence

from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import string_of
from worker.poe.partial_call import Fragment
from worker.responses.output import Object, call_of

_Sign = tuple[str, str]
"""An item's id and its index; empty: any."""


class BegunCalls:
    """The calls that have begun, each at a place of its own."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._places: dict[_Sign, str] = {}
        self._argued: set[str | None] = set()
        """The places of calls whose arguments have come, or begun to."""

    def begin(self, call: Fragment, item: Object, fields: Object) -> str:
        """Return the place of a new call."""
        place = f"#{len(self._ids)}"
        self._ids.append(call.id)
        for sign in _signs(item.get("id"), fields):
            self._places[sign] = place
        return place

    def place_of(self, item_id: object, fields: Object) -> str | None:
        """Return the place of the call that an event is about; None: no call has begun."""
        last = f"#{len(self._ids) - 1}" if self._ids else None
        return self._found(item_id, fields) or last

    def known(self, call: Fragment, item: Object, fields: Object, *, is_done: bool) -> str | None:
        """Return the place of a call that has begun; None: it is a new one."""
        place = self._found(item.get("id"), fields)
        is_same = call.id in self._ids
        # What begins where another call is, is another, unless it is that call once more.
        if place is not None and (is_done or is_same):
            return place
        return f"#{self._ids.index(call.id)}" if is_same and is_done else None

    def _found(self, item_id: object, fields: Object) -> str | None:
        signs = _signs(item_id, fields)
        return next((self._places[sign] for sign in signs if sign in self._places), None)

    def has_arguments(self, place: str | None) -> bool:
        """Return whether arguments of the call at this place have come."""
        return place in self._argued

    def note(self, fragment: Fragment) -> None:
        """Note that this is a part of a call."""
        if fragment.arguments.strip():
            self._argued.add(fragment.place)

    def missing(self, items: Sequence[Object]) -> Sequence[Object]:
        """Return those of all calls of the answer that have not begun.

        Raises Fault(PROTOCOL) where some are missing and it is not clear which.
        """
        if len(items) <= len(self._ids):
            return ()
        new = [item for item in items if call_of(item).id not in self._ids]
        if len(new) != len(items) - len(self._ids):
            raise Fault(FaultKind.PROTOCOL)
        return new


def _signs(item_id: object, fields: Object) -> list[_Sign]:
    """Return the signs by which an event may name its item, the most telling first."""
    item, index = string_of(item_id), fields.get("output_index")
    is_place = isinstance(index, int | float | str) and not isinstance(index, bool)
    at = str(int(index) if isinstance(index, float) and index.is_integer() else index)
    signs = [(item, at if is_place else ""), (item, ""), ("", at if is_place else "")]
    return [sign for sign in signs if any(sign)]
