"""The items of a response's output, each with the events that tell how it comes about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol

from gateway.responses.events import Deltas, Event
from gateway.responses.tools import INPUT

Status = Literal["in_progress", "completed", "incomplete"]

_LONGEST_ESCAPE = len(r"\u0000")


class Item(Protocol):
    """One item of the output."""

    def opening(self) -> list[Event]:
        """Return the events that begin it."""
        ...

    def closing(self, status: Status) -> list[Event]:
        """End it, and return the events that tell so."""
        ...

    def shown(self) -> dict[str, Any]:
        """Return the item, as far as it has come."""
        ...


class Thoughts:
    """What the model thinks, as a reasoning item with one summary."""

    def __init__(self, item_id: str, index: int) -> None:
        self._id = item_id
        self._index = index
        self._status: Status = "in_progress"
        self._place = _place(item_id, index) | {"summary_index": 0}
        self.deltas = Deltas.at("response.reasoning_summary_text.delta", self._place)
        self.text: list[str] = []

    def opening(self) -> list[Event]:
        part = {"type": "summary_text", "text": ""}
        added = Event("response.reasoning_summary_part.added", self._place | {"part": part})
        return [_added(self._index, self.shown()), added]

    def closing(self, status: Status) -> list[Event]:
        self._status = status
        text = "".join(self.text)
        part = {"type": "summary_text", "text": text}
        return [
            Event("response.reasoning_summary_text.done", self._place | {"text": text}),
            Event("response.reasoning_summary_part.done", self._place | {"part": part}),
            _done(self._index, self.shown()),
        ]

    def shown(self) -> dict[str, Any]:
        text = "".join(self.text)
        summary = [{"type": "summary_text", "text": text}] if text else []
        return {"id": self._id, "type": "reasoning", "summary": summary, "status": self._status}


class Part:
    """The text of a message, or its refusal."""

    def __init__(self, kind: Literal["output_text", "refusal"], place: Mapping[str, Any]) -> None:
        self._kind = kind
        self._place = place
        self._after: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        self.deltas = Deltas.at(f"response.{kind}.delta", place, **self._after)
        self.text: list[str] = []

    def opening(self) -> Event:
        return Event("response.content_part.added", {**self._place, "part": self.shown()})

    def closing(self) -> list[Event]:
        name = "text" if self._kind == "output_text" else "refusal"
        fields = {**self._place, name: "".join(self.text), **self._after}
        return [
            Event(f"response.{self._kind}.done", fields),
            Event("response.content_part.done", {**self._place, "part": self.shown()}),
        ]

    def shown(self) -> dict[str, Any]:
        text = "".join(self.text)
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class Message:
    """What the model says."""

    def __init__(self, item_id: str, index: int) -> None:
        self._id = item_id
        self._index = index
        self._status: Status = "in_progress"
        self._parts: dict[str, Part] = {}

    def opening(self) -> list[Event]:
        return [_added(self._index, self.shown())]

    def part(self, kind: Literal["output_text", "refusal"]) -> tuple[Part, list[Event]]:
        """Return the part of this kind, and the event that begins it where it is new."""
        if kind in self._parts:
            return self._parts[kind], []
        place = _place(self._id, self._index) | {"content_index": len(self._parts)}
        part = self._parts[kind] = Part(kind, place)
        return part, [part.opening()]

    def closing(self, status: Status) -> list[Event]:
        self._status = status
        events = [event for part in self._parts.values() for event in part.closing()]
        return [*events, _done(self._index, self.shown())]

    def shown(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "status": self._status,
            "role": "assistant",
            "content": [part.shown() for part in self._parts.values()],
        }


class Call:
    """A call of a function, or of a custom tool."""

    def __init__(
        self, item_id: str, index: int, call_id: str, name: str, namespace: str, *, custom: bool
    ) -> None:
        self._id = item_id
        self._index = index
        self._status: Status = "in_progress"
        self._names = {"call_id": call_id, "name": name}
        if namespace:
            self._names["namespace"] = namespace
        self.is_custom = custom
        kind = "custom_tool_call_input" if custom else "function_call_arguments"
        self._done = f"response.{kind}.done"
        self.deltas = Deltas.at(f"response.{kind}.delta", _place(item_id, index))
        self.text: list[str] = []
        """The arguments; of a custom tool, the JSON of the function that stands for it."""

    @property
    def value(self) -> str:
        """The arguments or, of a custom tool, its input."""
        text = "".join(self.text)
        return input_of(text) if self.is_custom else text

    def opening(self) -> list[Event]:
        return [_added(self._index, self.opened())]

    def closing(self, status: Status) -> list[Event]:
        self._status = status
        place = _place(self._id, self._index)
        name = {} if self.is_custom else {"name": self._names["name"]}
        field = "input" if self.is_custom else "arguments"
        return [
            Event(self._done, {**place, **name, field: self.value}),
            _done(self._index, self.shown()),
        ]

    def opened(self) -> dict[str, Any]:
        """Return the call without what it is called with."""
        return self._shown("")

    def shown(self) -> dict[str, Any]:
        return self._shown(self.value)

    def _shown(self, value: str) -> dict[str, Any]:
        kind, field = (
            ("custom_tool_call", "input") if self.is_custom else ("function_call", "arguments")
        )
        head = {"id": self._id, "type": kind, "status": self._status}
        return {**head, **self._names, field: value}


def input_of(arguments: str) -> str:
    """Return the input of a custom tool from the arguments that the model has given.

    Of JSON that breaks off, it is as much as has come. A model that gives no JSON, or none of the
    kind, means what it has given.
    """
    whole = (arguments, *_completed(arguments))
    return next((found for each in whole if (found := _input_in(each)) is not None), arguments)


def _completed(arguments: str) -> Iterator[str]:
    """Yield what JSON that breaks off in its one text may be: an escape may be cut, too."""
    for cut in range(min(_LONGEST_ESCAPE, len(arguments))):
        yield f'{arguments[: len(arguments) - cut]}"}}'


def _input_in(arguments: str) -> str | None:
    try:
        given = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return None
    found = given.get(INPUT) if isinstance(given, dict) else None
    return found if isinstance(found, str) else None


def _place(item_id: str, index: int) -> dict[str, Any]:
    return {"item_id": item_id, "output_index": index}


def _added(index: int, item: dict[str, Any]) -> Event:
    return Event("response.output_item.added", {"output_index": index, "item": item})


def _done(index: int, item: dict[str, Any]) -> Event:
    return Event("response.output_item.done", {"output_index": index, "item": item})
