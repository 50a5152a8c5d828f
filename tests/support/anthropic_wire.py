"""Anthropic's streams as its SDKs read them: events in order, and the message they make up."""

from __future__ import annotations

import json
from typing import Any

_STARTS = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}


def events_of(text: str) -> list[dict[str, Any]]:
    """Return each event's data. Each has a name, that of its type."""
    *told, rest = text.split("\n\n")
    assert rest == ""
    events = []
    for event in told:
        name, data = event.split("\n")
        found = json.loads(data.removeprefix("data: "))
        assert name == f"event: {found['type']}"
        assert len(data.encode()) < 64 * 1024
        events.append(found)
    return events


def check(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message of a whole stream. Fails if its events are not in Anthropic's order."""
    told = [event for event in events if event["type"] != "ping"]
    start, *blocks, delta, stop = told
    assert (start["type"], delta["type"]) == ("message_start", "message_delta")
    assert stop == {"type": "message_stop"}
    message = start["message"]
    assert message["content"] == []
    assert message["stop_reason"] is None
    is_cut = delta["delta"]["stop_reason"] == "max_tokens"
    for event in blocks:
        _take(message["content"], event, may_be_cut=is_cut and event is blocks[-1])
    assert not any("open" in block for block in message["content"])
    return {**message, **delta["delta"], "usage": message["usage"] | delta["usage"]}


def _take(content: list[dict[str, Any]], event: dict[str, Any], *, may_be_cut: bool) -> None:
    kind, index = event["type"], event["index"]
    if kind == "content_block_start":
        assert index == len(content)
        assert not any("open" in block for block in content)
        content.append(event["content_block"] | {"open": True, "json": ""})
        return
    assert index == len(content) - 1
    block = content[index]
    assert block["open"]
    if kind == "content_block_stop":
        del block["open"]
        if given := block.pop("json"):
            # What max_tokens has cut is no JSON, and clients see it by the reason.
            block["input"] = given if may_be_cut else json.loads(given)
        return
    assert kind == "content_block_delta"
    delta = event["delta"]
    if delta["type"] == "signature_delta":
        assert block["type"] == "thinking"
        block["signature"] = delta["signature"]
    else:
        assert delta["type"] == _STARTS[block["type"]]
        field = delta["type"].removesuffix("_delta").removeprefix("input_")
        block[field] += delta["partial_json" if field == "json" else field]
