"""The input items of a response, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from contract.calls.kept import Turn
from gateway.problems import invalid_value, quoted
from gateway.render.parameters import number_in_query
from gateway.responses.events import compact

DEFAULT_PAGE, LARGEST_PAGE = 20, 100

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_decode = msgspec.json.Decoder(str | list[dict[str, Any]]).decode


def page_of(turns: Sequence[Turn], query: str) -> bytes:
    """Return a page of the input of the last of these turns: all of the conversation before it.

    Raises Problem.
    """
    items = [item for turn in turns for item in _items(turn)]
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    if _order(asked.get("order", "desc")) == "desc":
        items.reverse()
    start, limit = _start(items, asked.get("after")), _limit(asked.get("limit"))
    page = items[start : start + limit]
    found = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(items),
    }
    return compact(found).encode()


def _items(turn: Turn) -> list[dict[str, Any]]:
    given = _decode(turn.input)
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    own = [_shown(item, f"{turn.job}_in{i}") for i, item in enumerate(given)]
    return own + (msgspec.json.decode(turn.output) if turn.output else [])


def _shown(item: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an item of a request with all that OpenAI's have."""
    kind = item.get("type") or "message"
    shown = {
        **{key: value for key, value in item.items() if value is not None},
        "id": f"{_PREFIXES.get(kind, 'item')}_{name}",
        "type": kind,
    }
    if kind in _PREFIXES:
        shown["status"] = "incomplete" if item.get("status") == "incomplete" else "completed"
    if isinstance(item.get("arguments"), dict):
        shown["arguments"] = compact(item["arguments"])
    if kind == "message":
        shown["content"] = _content(item)
    if kind == "reasoning":
        shown.setdefault("summary", [])
    return shown


def _content(item: dict[str, Any]) -> list[dict[str, Any]]:
    content = item.get("content") or []
    is_own = item.get("role") == "assistant"
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    return [_part(part, is_own=is_own) for part in content if part is not None]


def _part(part: dict[str, Any], *, is_own: bool) -> dict[str, Any]:
    if part.get("type") not in ("text", "input_text", "output_text"):
        return part
    if is_own:
        return {"annotations": [], "logprobs": [], **part, "type": "output_text"}
    return {**part, "type": "input_text"}


def _order(given: str) -> str:
    if given not in ("asc", "desc"):
        raise invalid_value("order", f"{quoted(given)} is not one of asc, desc")
    return given


def _limit(given: str | None) -> int:
    if given is None:
        return DEFAULT_PAGE
    return number_in_query(given, "limit", 1, LARGEST_PAGE)


def _start(items: Sequence[dict[str, Any]], after: str | None) -> int:
    if after is None:
        return 0
    for number, item in enumerate(items):
        if item["id"] == after:
            return number + 1
    raise invalid_value("after", f"no input item of this response has the id {quoted(after)}")
