"""`POST /say` with `{"to": a model, "words": …, "stream": …, "shout": …}`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from contract.messages import Event, Finished, Message, Replaced, Text
from gateway.dialect import Ask, Endpoint, Frame, Head, Headers, Inquiry, Page, RateLimit, Reply
from gateway.models import ModelTable
from gateway.problems import Kind, Problem, missing

_STATUSES = {Kind.UNAUTHENTICATED: 498, Kind.UNKNOWN_PATH: 410, Kind.NO_POINTS: 420}


class ToyAsk(Ask, frozen=True):
    """What a client says, and whether it wants to be shouted at."""

    shout: bool = False


class ToyCount(Ask, frozen=True):
    """What a client wants counted."""


def parse_count(body: bytes) -> ToyCount:
    said = msgspec.json.decode(body)
    return ToyCount(model="", messages=(Message("user", said["words"]),))


def count(ask: ToyCount) -> Reply:
    return Reply(200, json.dumps({"letters": len(ask.messages[0].text)}).encode())


def parse(body: bytes) -> ToyAsk:
    said = msgspec.json.decode(body)
    if "words" not in said:
        raise missing("words")
    return ToyAsk(
        model=said["to"],
        messages=(Message("user", said["words"]),),
        stream=said.get("stream", False),
        choices=said.get("times", 1),
        shout=said.get("shout", False),
    )


class ToyEncoder:
    """Tells each record's words as an event named after what it is."""

    def __init__(self, head: Head, ask: ToyAsk) -> None:
        self._head = head
        self._shout = ask.shout

    def begin(self) -> list[Frame]:
        return [_frame("hello", {"job": self._head.job, "from": self._head.model})]

    def feed(self, choice: int, events: Sequence[Event]) -> list[Frame]:
        said = _said(events)
        words = said.upper() if self._shout else said
        frames = [_frame("words", {"voice": choice, "words": words})] if words else []
        ended = [event for event in events if isinstance(event, Finished)]
        return frames + [_frame("silence", {"voice": choice, "why": each.reason}) for each in ended]

    def end(self, problem: Problem | None) -> list[Frame]:
        if problem is None:
            return [_frame("bye", {})]
        return [_frame("oops", {"oops": problem.kind, "words": problem.message})]


class ToyCollector:
    """Collects the words of all choices."""

    def __init__(self, head: Head, ask: ToyAsk) -> None:
        self._voices = [""] * head.choices
        self._shout = ask.shout

    def feed(self, choice: int, events: Sequence[Event]) -> None:
        self._voices[choice] += _said(events)

    def body(self) -> bytes:
        voices = [voice.upper() if self._shout else voice for voice in self._voices]
        return json.dumps({"voices": voices}).encode()


def names(models: ModelTable, allowed: tuple[str, ...], _: str, __: str) -> bytes:
    return json.dumps([entry.id for entry in models.entries(allowed)]).encode()


def hello(models: ModelTable, allowed: tuple[str, ...], _: str, query: str) -> bytes:
    return json.dumps({"hello": query}).encode()


class Toy:
    """The dialect."""

    name = "toy"
    mark = "toy-version"
    longest_silence = math.inf
    endpoints = (Endpoint("say", "/say", ToyAsk, parse, ToyEncoder, ToyCollector),)
    pages = (Page("/say/to", names), Page("/models", names), Page("/hello", hello, is_open=True))
    inquiries = (Inquiry("count", "/say/count", ToyCount, parse_count, count),)
    exposed = ("toy-asks-left",)

    def headers(self, request_id: str) -> Headers:
        return [("toy-request", request_id)]

    def error(self, problem: Problem, request_id: str) -> Reply:
        told = {"words": problem.message, "at": problem.param, "request": request_id}
        body = json.dumps({"oops": problem.kind} | told)
        headers = [("toy-wait", f"{problem.retry_after:g}")] if problem.retry_after else []
        return Reply(_STATUSES.get(problem.kind, 400), body.encode(), headers)

    def stamp(self, frame: Frame, event_id: str) -> Frame:
        return Frame(f'{{"toy_id":"{event_id}",{frame.data[1:]}', frame.event)

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        return [("toy-asks-left", f"{limit.remaining}")]

    def keep_alive(self, position: int | None = None, eta: float | None = None) -> bytes:
        waiting = json.dumps({"position": position, "eta": eta})
        return f"event: wait\ndata: {waiting}\n\n".encode()


TOY = Toy()


def _said(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text | Replaced))


def _frame(event: str, data: dict[str, Any]) -> Frame:
    return Frame(json.dumps(data), event)
