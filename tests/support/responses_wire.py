"""Reads a stream of the Responses API as a client does, and holds it against OpenAI's rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from tests.support.openai_schema import assert_is
from tests.support.responses_schema import EVENTS

ENDS = {"response.completed", "response.incomplete", "response.failed"}

Event = dict[str, Any]


def events_of(stream: str) -> list[Event]:
    """The events of a whole stream, its comments left out."""
    blocks = [each for each in stream.split("\n\n") if each and not each.startswith(":")]
    found = []
    for block in blocks:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def check(events: Sequence[Event]) -> Event:
    """Hold a whole stream against the schema and against itself, and return its response."""
    for number, event in enumerate(events):
        assert_is(event, EVENTS[event["type"]])
        assert event["sequence_number"] == number
    types = [event["type"] for event in events]
    queued = ["response.queued"] if events[0]["response"]["background"] else []
    opening = ["response.created", *queued, "response.in_progress"]
    assert types[: len(opening)] == opening
    assert [each for each in types if each in ENDS] == [types[-1]]
    response: Event = events[-1]["response"]
    ended = response["status"].replace("cancelled", "failed")
    assert ended == types[-1].removeprefix("response.")
    if ended != "failed":
        assert built_from(events) == response["output"]
    return response


def built_from(events: Sequence[Event], *, whole: bool = True) -> list[Event]:
    """The output as its events tell it: deltas must add up to what is done, and to the item."""
    items: list[Event] = []
    done: set[int] = set()
    for event in events:
        index = event.get("output_index")
        match event["type"].removeprefix("response."):
            case "output_item.added":
                assert index == len(items)
                items.append(deepcopy(event["item"]))
            case "output_item.done":
                assert _same(items[index], event["item"])
                items[index] = deepcopy(event["item"])
                done.add(index)
            case "content_part.added":
                assert event["content_index"] == len(items[index]["content"])
                items[index]["content"].append(dict(event["part"]))
            case "reasoning_summary_part.added":
                items[index]["summary"].append(dict(event["part"]))
            case "content_part.done":
                assert items[index]["content"][event["content_index"]] == event["part"]
            case "reasoning_summary_part.done":
                assert items[index]["summary"][event["summary_index"]] == event["part"]
            case kind if kind.endswith((".delta", ".done")):
                _text(items[index], event, kind)
        if "item_id" in event:
            assert event["item_id"] == items[index]["id"]
    assert not whole or done == set(range(len(items)))
    return items


_NAMES = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_summary_text": "text",
    "function_call_arguments": "arguments",
    "custom_tool_call_input": "input",
}


def _text(item: Event, event: Event, kind: str) -> None:
    kind, _, what = kind.rpartition(".")
    name = _NAMES[kind]
    place = item
    if "content_index" in event:
        place = item["content"][event["content_index"]]
    elif "summary_index" in event:
        place = item["summary"][event["summary_index"]]
    if what == "delta":
        assert event["delta"]
        place[name] += event["delta"]
    else:
        assert place[name] == event[name]


def _same(told: Event, item: Event) -> bool:
    return {**told, "status": ""} == {**item, "status": ""}
