"""Responses that are kept: shown, listed, continued, by the id that each has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qs

from contract.messages import Event
from gateway.dialect import Archive, Head, Standing, Wanted
from gateway.problems import (
    Problem,
    answer_not_found,
    method_not_allowed,
    unknown_path,
)
from gateway.render.parameters import number_in_query
from gateway.responses.answer import settled
from gateway.responses.events import compact
from gateway.responses.ids import id_of, job_of
from gateway.responses.input_items import page_of
from gateway.responses.request import ResponsesAsk, parse_after
from gateway.responses.response import response_of
from gateway.responses.stream import ResponseEncoder

PATH = "/responses/"

_ACTIONS: dict[tuple[str, str], Literal["show", "list", "cancel", "delete"]] = {
    ("GET", ""): "show",
    ("DELETE", ""): "delete",
    ("GET", "input_items"): "list",
    ("POST", "cancel"): "cancel",
}
_LARGEST = 2**53


def wanted(method: str, rest: str, query: str) -> Wanted:
    """Return what is asked of a response. Raises Problem."""
    name, _, what = rest.partition("/")
    takes = [each for each, of in _ACTIONS if of == what]
    job = job_of(name)
    if method not in takes:
        if not takes or job is None:
            raise unknown_path(method, f"/v1{PATH}{rest}")
        raise method_not_allowed(method, ", ".join([*takes, "OPTIONS"]))
    if job is None:
        raise answer_not_found(name)
    action = _ACTIONS[method, what]
    asked = parse_qs(query, keep_blank_values=True)
    if action == "show" and asked.get("stream", [""])[-1].lower() in ("true", "1"):
        return Wanted(name, job, "stream", _after(asked.get("starting_after")))
    return Wanted(name, job, action)


def show(
    head: Head,
    ask: ResponsesAsk,
    events: Sequence[Event],
    standing: Standing,
    problem: Problem | None,
) -> bytes:
    """Render a response at any time."""
    if standing == "queued":
        return response_of(head, ask, "queued" if ask.in_background else "in_progress").encode()
    encoder = _fed(head, ask, events)
    return (encoder.so_far() if standing == "in_progress" else encoder.response(problem)).encode()


def output(
    head: Head, ask: ResponsesAsk, events: Sequence[Event], problem: Problem | None
) -> bytes:
    """Return the items of a response as a later request has them before its own.

    A call that was broken off is left out: nothing can have answered it.
    """
    items = _fed(head, ask, events).output()
    if problem is not None:
        items = [item for item in items if not item["type"].endswith("_call")]
    return compact(items).encode()


def deleted(name: str) -> bytes:
    """Say that a response has been deleted."""
    return compact({"id": name, "object": "response", "deleted": True}).encode()


def _fed(head: Head, ask: ResponsesAsk, events: Sequence[Event]) -> ResponseEncoder:
    encoder = ResponseEncoder(head, ask)
    # One who has read along gets what was read, and one who has not what it amounts to.
    encoder.feed(0, events if ask.stream else settled(events))
    return encoder


def _after(given: list[str] | None) -> int:
    if given is None:
        return -1
    return number_in_query(given[-1], "starting_after", 0, _LARGEST)


ARCHIVE = Archive(
    path=PATH,
    id_of=id_of,
    wanted=wanted,
    show=show,
    output=output,
    parse_after=parse_after,
    list=page_of,
    deleted=deleted,
)
