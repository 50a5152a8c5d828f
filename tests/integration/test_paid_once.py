"""What came of a call, and whether Poe is asked again: the table of docs/upstreams.md.

Poe plays the same script to every call of a case, so the calls that it has seen tell how often it
was asked. Cases that say nothing of a key are asked at the same time, of one worker.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import pytest_asyncio

from contract.config import ModelSettings
from contract.messages import Event, FailureKind, Finished, Message
from simulated_poe import Settings, SimulatedPoe
from simulated_poe.ask import conversation_of
from store.client import connect
from tests.support.deployment import running_redis
from tests.support.worker_alone import Asking, failure, said, token, working

Steps = Sequence[dict[str, Any]]
Kind = Literal["bot", "openai"]

BOT: Kind = "bot"
CHAT: Kind = "openai"
KINDS: list[Kind] = [BOT, CHAT]
YES_AND_NO = (False, True)

SILENCE_ALLOWED = 1.5
"""Seconds."""


@dataclass(frozen=True)
class Case:
    """A script that Poe plays, and how often it is to be asked for it."""

    name: str
    kind: Kind
    steps: Steps
    calls: int = 1
    keyed: bool = False
    stream: bool = False

    def __str__(self) -> str:
        words = [self.kind, self.name, self.keyed and "keyed", self.stream and "streamed"]
        return " ".join(word for word in words if word)

    @property
    def script(self) -> str:
        return json.dumps(list(self.steps))

    @property
    def messages(self) -> tuple[Message, ...]:
        """A conversation that no other case has."""
        return (
            Message("user", str(self)),
            Message("assistant", "Go on."),
            Message("user", self.script),
        )

    @property
    def conversation(self) -> str:
        return conversation_of([("user", str(self)), ("bot", "Go on."), ("user", self.script)])


HEAD: Steps = [{"raw": ""}]
CUT: Steps = [{"cut": True}]
SILENCE: Steps = [{"sleep": 30}]
META: Steps = [{"event": "meta", "data": {"content_type": "text/markdown"}}]
DONE: Steps = [{"event": "done"}]
FILE: Steps = [{"event": "file", "data": {"url": "https://f", "content_type": "a/b", "name": "f"}}]

INTERNAL = "Internal server error"
NO_POINTS = "This bot needs more points to answer your request."
RATE_LIMIT = "Rate limit exceeded."
MAY_RETRY: dict[str, Any] = {"allow_retry": True}
NO_RETRY: dict[str, Any] = {"allow_retry": False}


def status(code: int) -> Steps:
    body = {"error": {"code": code, "type": "some_error", "message": "No."}}
    return [{"status": code, "body": body}]


def text(said: str, name: str = "text") -> Steps:
    return [{"event": name, "data": {"text": said}}]


def error(message: str, **fields: Any) -> Steps:
    return [{"event": "error", "data": {"text": message, **fields}}]


def chunk(delta: dict[str, Any], reason: str | None = None) -> Steps:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return [{"raw": f"data: {json.dumps(body | {'choices': [choice]})}\n\n"}]


def chat_error(code: int) -> Steps:
    body = {"error": {"code": code, "type": "some_error", "message": "No."}}
    return [{"raw": f"data: {json.dumps(body)}\n\n"}]


ROLE = chunk({"role": "assistant", "content": None})
END_OF_CHAT: Steps = [{"raw": "data: [DONE]\n\n"}]
COMMENT: Steps = [{"raw": ": ping\n\n"}]


def each_way(
    name: str, kind: Kind, steps: Steps, calls: int = 1, stream: Iterable[bool] = (False,)
) -> list[Case]:
    """The case with an idempotency key and without, which makes no difference to it."""
    return [
        Case(name, kind, steps, calls, keyed, streamed)
        for keyed in YES_AND_NO
        for streamed in stream
    ]


STATUSES = [
    case
    for kind in KINDS
    for code, calls in [
        *((code, 3) for code in (408, 500, 502, 503, 504, 529)),
        *((code, 1) for code in (400, 413, 422)),
    ]
    for case in each_way(str(code), kind, status(code), calls)
]

CUT_BEFORE_STATUS = [
    Case("cut", kind, CUT, 1 if keyed else 2, keyed, stream)
    for kind in KINDS
    for keyed in YES_AND_NO
    for stream in YES_AND_NO
]

SILENT_BEFORE_STATUS = [
    case for kind in KINDS for case in each_way("silence", kind, SILENCE, stream=YES_AND_NO)
]

ERROR_EVENTS = [
    case
    for kind, name, steps, calls in [
        (BOT, "allow_retry", error(INTERNAL, **MAY_RETRY), 2),
        (BOT, "allow_retry behind meta", [*META, *error(INTERNAL, **MAY_RETRY)], 2),
        (BOT, "allow_retry by default", error(INTERNAL), 2),
        (BOT, "no allow_retry", error(INTERNAL, **NO_RETRY), 1),
        (BOT, "error of the request", error("Your message is too long.", **MAY_RETRY), 1),
        (CHAT, "error", chat_error(500), 1),
        (CHAT, "error behind a role", [*ROLE, *chat_error(500)], 1),
    ]
    for case in each_way(name, kind, steps, calls)
]

PLACEHOLDERS = [
    *text("Generating image (0s elapsed)"),
    *text("Generating image (1s elapsed)", "replace_response"),
]
BEGUN: list[tuple[Kind, str, Steps]] = [
    (BOT, "text", text("Hello")),
    (BOT, "Thinking...", text("Thinking...")),
    (BOT, "Thinking... (3s elapsed)", text("Thinking... (3s elapsed)")),
    (BOT, "Generating image", PLACEHOLDERS),
    (BOT, "replaced by nothing", [*text("", "replace_response"), *text("Thinking...")]),
    (BOT, "file", FILE),
    (CHAT, "text", [*ROLE, *chunk({"content": "Hello"})]),
    (CHAT, "thoughts", [*ROLE, *chunk({"reasoning_content": "Hm."})]),
    (CHAT, "think tag", [*ROLE, *chunk({"content": "<think>"})]),
]
NOTHING: list[tuple[Kind, str, Steps]] = [
    (BOT, "head", HEAD),
    (BOT, "meta", META),
    (BOT, "comment", COMMENT),
    (BOT, "ping", [{"event": "ping"}]),
    (BOT, "suggestion", text("More", "suggested_reply")),
    (CHAT, "head", HEAD),
    (CHAT, "role", ROLE),
    (CHAT, "comment", COMMENT),
]
BREAKS: list[tuple[str, Steps]] = [("cut", CUT), ("silence", SILENCE)]
NULL: Steps = [{"event": "text", "data": {"text": None}}]
ERRORS: dict[Kind, Steps] = {BOT: error(INTERNAL, **MAY_RETRY), CHAT: chat_error(500)}

BROKEN_OFF = [
    case
    for kind, what, come in [*BEGUN, *NOTHING]
    for how, end in BREAKS
    for case in each_way(f"{what}, {how}", kind, [*come, *end])
]
BROKEN_OFF += [
    case
    for kind, what, come in BEGUN
    for case in each_way(f"{what}, error", kind, [*come, *ERRORS[kind]])
]
BROKEN_OFF += each_way("null, cut", BOT, [*NULL, *CUT])

PROPERLY_EMPTY = [
    Case(name, kind, steps, stream=stream)
    for kind, name, steps in [
        (BOT, "done", DONE),
        (BOT, "meta, done", [*META, *DONE]),
        (BOT, "empty text, done", [*text(""), *DONE]),
        (BOT, "placeholder, done", [*text("Thinking... (3s elapsed)"), *DONE]),
        (CHAT, "role, stop", [*ROLE, *chunk({}, "stop"), *END_OF_CHAT]),
        (CHAT, "stop, cut", [*chunk({"content": ""}, "stop"), *CUT]),
    ]
    for stream in YES_AND_NO
]

IMPROPERLY_EMPTY = [
    Case(name, BOT, steps)
    for name, steps in [
        ("head, end", HEAD),
        ("meta, end", META),
        ("empty text, end", text("")),
        ("placeholder, end", text("Thinking... (3s elapsed)")),
    ]
]

LIVELY = [
    Case(f"{name} all along", kind, [*come * 8, {"raw": "\n\n"}, *end])
    for kind, end in [(BOT, [*text("Hi"), *DONE]), (CHAT, chunk({"content": "Hi"}, "stop"))]
    for name, come in [
        ("comments", [*COMMENT, {"sleep": 0.3}]),
        ("halves of a line", [{"raw": ": "}, {"sleep": 0.3}]),
    ]
]
"""Alive for longer than the longest silence, before there is an answer."""

ALL = [
    *(*STATUSES, *CUT_BEFORE_STATUS, *SILENT_BEFORE_STATUS, *ERROR_EVENTS, *BROKEN_OFF),
    *(*PROPERLY_EMPTY, *IMPROPERLY_EMPTY, *LIVELY),
]


BY_KEY = [
    *(Case(str(code), kind, status(code), 2) for kind in KINDS for code in (401, 402, 403, 404)),
    Case("points", BOT, error(NO_POINTS, **NO_RETRY), 2, keyed=True),
    Case("points behind meta", BOT, [*META, *error(NO_POINTS, **NO_RETRY)], 2),
    Case("points", CHAT, chat_error(402), 2, keyed=True),
    Case("points behind a role", CHAT, [*ROLE, *chat_error(402)], 2),
]
TOO_LATE = [
    Case("placeholder, points", BOT, [*PLACEHOLDERS, *error(NO_POINTS, **NO_RETRY)]),
    Case("placeholder, limit", BOT, [*text("Thinking..."), *error(RATE_LIMIT, **MAY_RETRY)]),
    Case("thoughts, limit", CHAT, [*chunk({"reasoning_content": "Hm."}), *chat_error(429)]),
]

OF_KEYS = [*BY_KEY, *TOO_LATE]


@dataclass(frozen=True)
class Outcome:
    """How often Poe was called for a case, and what came of it."""

    calls: int
    events: list[Event]


Outcomes = dict[str, Outcome]


async def _outcomes(kind: Kind, cases: Sequence[Case], tokens: int = 1) -> Outcomes:
    """Ask all these of one worker at once."""
    async with (
        running_redis() as server,
        SimulatedPoe(Settings(rate_limit=None)) as poe,
        connect(server.url, connections=8, timeout=10) as redis,
        working(
            server.url,
            poe.url,
            *(token(f"sim-{number}", max_in_flight=1000) for number in range(tokens)),
            models={"script": ModelSettings(protocol=kind)},
            timeout=SILENCE_ALLOWED,
        ),
    ):
        asking = Asking(redis)

        async def answer(case: Case) -> list[Event]:
            job = await asking.ask(
                "Script", messages=case.messages, keyed=case.keyed, stream=case.stream
            )
            return await asking.answer(job)

        answers = await asyncio.gather(*map(answer, cases))
        asked = [call.conversation for call in poe.record.calls]
    return {
        str(case): Outcome(asked.count(case.conversation), events)
        for case, events in zip(cases, answers, strict=True)
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes() -> AsyncIterator[Outcomes]:
    found: Outcomes = {}
    for kind in KINDS:
        found |= await _outcomes(kind, [case for case in ALL if case.kind == kind])
    # What is said of a key makes it unfit for the next case, so these get a worker each.
    for each in await asyncio.gather(*(_outcomes(case.kind, [case], 2) for case in OF_KEYS)):
        found |= each
    yield found


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=str)


@each(STATUSES)
def test_a_status_is_asked_twice_more_where_it_may_pass(case: Case, outcomes: Outcomes) -> None:
    assert outcomes[str(case)].calls == case.calls
    assert failure(outcomes[str(case)].events)


@each(CUT_BEFORE_STATUS)
def test_a_call_that_is_cut_before_its_status_is_repeated_once_without_a_key(
    case: Case, outcomes: Outcomes
) -> None:
    assert outcomes[str(case)].calls == case.calls
    assert failure(outcomes[str(case)].events).charged


@each(SILENT_BEFORE_STATUS)
def test_our_own_timeout_before_the_status_is_the_end(case: Case, outcomes: Outcomes) -> None:
    assert outcomes[str(case)].calls == 1
    assert failure(outcomes[str(case)].events).kind is FailureKind.UPSTREAM_TIMEOUT
    assert failure(outcomes[str(case)].events).charged


@each(ERROR_EVENTS)
def test_an_error_event_before_the_answer_is_asked_once_more_if_it_allows_it(
    case: Case, outcomes: Outcomes
) -> None:
    assert outcomes[str(case)].calls == case.calls
    assert failure(outcomes[str(case)].events)


@each(BROKEN_OFF)
def test_an_answer_that_breaks_off_after_a_200_is_never_asked_again(
    case: Case, outcomes: Outcomes
) -> None:
    assert outcomes[str(case)].calls == 1
    assert failure(outcomes[str(case)].events).charged


@each(PROPERLY_EMPTY)
def test_an_answer_that_ends_properly_without_text_is_an_answer(
    case: Case, outcomes: Outcomes
) -> None:
    assert outcomes[str(case)].calls == 1
    assert outcomes[str(case)].events[-1] == Finished("stop")
    assert said(outcomes[str(case)].events) == ""


@each(IMPROPERLY_EMPTY)
def test_an_answer_without_text_or_a_proper_end_is_a_failure(
    case: Case, outcomes: Outcomes
) -> None:
    assert outcomes[str(case)].calls == 1
    assert failure(outcomes[str(case)].events).kind is FailureKind.UPSTREAM_EMPTY


@each(LIVELY)
def test_any_byte_of_a_living_stream_rearms_the_clock(case: Case, outcomes: Outcomes) -> None:
    assert outcomes[str(case)].calls == 1
    assert said(outcomes[str(case)].events) == "Hi"


@each(OF_KEYS)
def test_what_is_the_fault_of_a_key_is_asked_with_the_other_unless_an_answer_has_begun(
    case: Case, outcomes: Outcomes
) -> None:
    assert outcomes[str(case)].calls == case.calls
    assert failure(outcomes[str(case)].events)
