"""The list of models, page by page, and one of them, as Anthropic's API shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

from gateway.models import Entry, ModelTable
from gateway.problems import invalid_value, quoted
from gateway.render.parameters import number_in_query

MOST = 1_000
_DEFAULT = 20
"""Models of a page."""


def listing(models: ModelTable, allowed: tuple[str, ...], _: str, query: str) -> bytes:
    """Render one page of the models that a client may use. Raises Problem."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    page, more = _page(models.entries(allowed), asked)
    key = ("anthropic", allowed, len(page), page[0].id if page else "", more)
    if key not in models.rendered:
        ends = {"first_id": page[0].id, "last_id": page[-1].id} if page else {}
        told = {"data": [_fields(entry) for entry in page], "has_more": more}
        models.rendered[key] = orjson.dumps(told | ({"first_id": None, "last_id": None} | ends))
    return models.rendered[key]


def one(models: ModelTable, allowed: tuple[str, ...], name: str, _: str) -> bytes:
    """Render one model of the list. Raises Problem if it is not there."""
    return orjson.dumps(_fields(models.entry(name, allowed)))


def hello(models: ModelTable, allowed: tuple[str, ...], _: str, query: str) -> bytes:  # noqa: ARG001
    """Render what Claude Code looks at to see whether there is a network."""
    return b'{"message":"hello"}'


def _page(entries: list[Entry], asked: dict[str, str]) -> tuple[list[Entry], bool]:
    """Return the models of a page, and whether there are more in its direction."""
    limit = _limit(asked.get("limit"))
    if "before_id" in asked:
        before = entries[: _place(entries, asked["before_id"], "before_id")]
        return before[-limit:], len(before) > limit
    start = _place(entries, asked["after_id"], "after_id") + 1 if "after_id" in asked else 0
    return entries[start : start + limit], len(entries) > start + limit


def _limit(asked: str | None) -> int:
    if asked is None:
        return _DEFAULT
    return number_in_query(asked, "limit", 1, MOST)


def _place(entries: list[Entry], model: str, param: str) -> int:
    found = (place for place, entry in enumerate(entries) if entry.id == model)
    place = next(found, None)
    if place is None:
        raise invalid_value(param, f"no model of the list is called {quoted(model)}")
    return place


def _fields(entry: Entry) -> dict[str, Any]:
    model = entry.model
    extras = {
        "max_input_tokens": model.context_length if model else None,
        "max_tokens": model.max_output_tokens if model else None,
    }
    return {
        "type": "model",
        "id": entry.id,
        "display_name": (model.display_name if model else "") or entry.id,
        "created_at": datetime.fromtimestamp(entry.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    } | {key: value for key, value in extras.items() if value}
