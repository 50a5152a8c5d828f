"""What the bots say, and how both dialects tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulated_poe import checksum, long_text
from simulated_poe.ask import Ask, from_query
from simulated_poe.bots import BOTS, find
from simulated_poe.catalogue import Catalogue, Model
from simulated_poe.chat import Form, from_request, render
from simulated_poe.chunks import Head
from simulated_poe.failures import FAILURES, Malformed, as_status, body
from simulated_poe.settings import Settings
from simulated_poe.steps import Cut, Event, Raw, Sleep, Status, Step, Text, encode

HEAD = Head("chatcmpl-1", "echo", 0, prompt_tokens=1)
FORM = Form(HEAD, stream=True, usage=False)
MODEL = Model("Echo", "echo", ({"name": "aspect", "schema": {}},))


def ask(text: str, variant: str = "", attempt: int = 1, **parameters: Any) -> Ask:
    return Ask(text, parameters, {}, "", variant, attempt)


def answer(name: str, text: str, attempt: int = 1, **parameters: Any) -> list[Step]:
    found = find(name)
    assert found is not None
    bot, variant = found
    return list(bot.play(ask(text, variant, attempt, **parameters)))


def final_text(steps: list[Step]) -> str:
    text = ""
    for step in steps:
        if isinstance(step, Text):
            text = step.text if step.replaces else text + step.text
    return text


def chunks(steps: list[Step], form: Form = FORM) -> list[Any]:
    raws = [step for step in render(steps, form) if isinstance(step, Raw)]
    lines = b"".join(raw.data for raw in raws).decode().split("\n\n")[:-1]
    return [json.loads(line[6:]) if line != "data: [DONE]" else "[DONE]" for line in lines]


def told(steps: list[Step]) -> str:
    deltas = [c["choices"][0]["delta"] for c in chunks(steps) if c != "[DONE]"]
    return "".join(delta.get("content") or "" for delta in deltas)


@pytest.mark.parametrize(
    ("bot", "text", "final"),
    [
        pytest.param("Echo", "naïve 東京 🙂", "naïve 東京 🙂", id="echo"),
        pytest.param("COUNT", "count to 3 every 1ms", "1 2 3", id="count"),
        pytest.param("Long", "5 words, seed 7", long_text(7, 5), id="long"),
        pytest.param("Think", "why", "I have thought about it: why", id="think"),
        pytest.param(
            "Reason",
            "why",
            "*Thinking...*\n\n> The question is:\n>\n> why\n\nThe answer to: why",
            id="reason",
        ),
        pytest.param(
            "Reason-tags",
            "why",
            "<think>\nThe question is:\n\nwhy\n</think>\n\nThe answer to: why",
            id="reason-in-tags",
        ),
        pytest.param("Replace", "grown by and by", "grown by and by", id="replace"),
        pytest.param("Replace-rewrite", "the better one", "the better one", id="rewrite"),
        pytest.param("Draw", "a cat", "![a cat][Ab3dE6gH]", id="draw"),
        pytest.param("Draw-bare", "a cat", "", id="only-a-file"),
        pytest.param("Suggest", "hi", "You said: hi", id="suggested-replies-are-no-text"),
        pytest.param("Empty", "hi", "", id="empty"),
    ],
)
def test_a_bot_answers(bot: str, text: str, final: str) -> None:
    steps = answer(bot, text)

    assert final_text(steps) == final
    assert steps[-1] == Event("done", {})


def test_parameters_come_before_numbers_in_the_text() -> None:
    assert final_text(answer("Count", "to 9", count=2)) == "1 2"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("count to 2 every 50ms", 0.05, id="milliseconds"),
        pytest.param("count to 2 every 1.5 s", 1.5, id="seconds"),
    ],
)
def test_the_text_says_how_fast(text: str, seconds: float) -> None:
    assert answer("Count", text).count(Sleep(seconds)) == 2


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("nobody", id="no-such-bot"),
        pytest.param("echo-loudly", id="no-such-variant"),
        pytest.param("fail-999", id="no-such-failure"),
        pytest.param("", id="no-name"),
    ],
)
def test_an_unknown_name_finds_nobody(name: str) -> None:
    assert Catalogue().who_answers(name) is None


@pytest.mark.parametrize("status", sorted(FAILURES))
@pytest.mark.parametrize("shape", ["a", "b"])
def test_every_status_can_be_asked_for_by_name(status: int, shape: str) -> None:
    (step,) = answer(f"Fail-{status}-{shape}", "hi")

    assert isinstance(step, Status)
    # The reference of errors tells an unknown model by 400.
    assert step.status == (400 if (status, shape) == (404, "b") else status)
    assert type(step.body["error"]["code"]) is (int if shape == "a" else str)
    assert step.headers == ({"Retry-After": "2"} if status in (429, 503) else {})


@pytest.mark.parametrize(
    ("name", "events"),
    [
        pytest.param("insufficient_fund", [False], id="points"),
        pytest.param("insufficient_fund-retry", [True], id="points-retry-allowed"),
        pytest.param("user_message_too_long", [False], id="too-long"),
        pytest.param("privacy_authorization_error", [False], id="privacy"),
        pytest.param("internal", [True], id="internal"),
        pytest.param("internal-noretry", [False], id="internal-no-retry"),
        pytest.param("late", ["text", "text", True], id="late"),
        pytest.param("late-insufficient_fund", ["text", "text", False], id="late-points"),
        pytest.param("done", [True, "done"], id="error-and-done"),
    ],
)
def test_every_error_event_can_be_asked_for_by_name(name: str, events: list[object]) -> None:
    seen = [
        "text" if isinstance(s, Text) else s.data["allow_retry"] if s.name == "error" else s.name
        for s in answer(f"Fail-{name}", "hi")
        if isinstance(s, Text | Event)
    ]

    assert seen == events


def test_the_question_may_name_the_failure() -> None:
    assert answer("Fail", "429") == answer("Fail-429", "hi")


def test_a_flaky_bot_answers_when_asked_again() -> None:
    first, second = answer("Flaky-401", "hi", attempt=1), answer("Flaky-401", "hi", attempt=2)

    assert first == [as_status(FAILURES[401], "a")]
    assert final_text(second) == "hi"


def test_a_script_is_played_exactly() -> None:
    script = [
        {"event": "text", "data": {"text": "hi"}},
        {"event": "text", "data": {"text": 7}},
        {"raw": ": x\n\n"},
        {"sleep": 0.5},
        {"status": 418, "body": {"a": 1}},
        {"cut": True},
    ]

    assert answer("Script", json.dumps(script)) == [
        Text("hi"),
        Event("text", {"text": 7}),
        Raw(b": x\n\n"),
        Sleep(0.5),
        Status(418, {"a": 1}),
        Cut(),
    ]


@pytest.mark.parametrize(
    ("line_end", "wire"),
    [
        pytest.param("crlf", b'event: text\r\ndata: {"text":"a\\n"}\r\n\r\n', id="crlf"),
        pytest.param("lf", b'event: text\ndata: {"text":"a\\n"}\n\n', id="lf"),
    ],
)
def test_events_are_written_with_either_line_end(line_end: Any, wire: bytes) -> None:
    assert list(encode([Text("a\n")], line_end)) == [Raw(wire, characters=2)]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        pytest.param(answer("Think", "why"), "I have thought about it: why", id="no-placeholder"),
        pytest.param(answer("Replace", "grown by and by"), "grown by and by", id="no-repetition"),
        pytest.param([Text("a"), Text("ab", True), Text("c")], "abc", id="a-longer-text"),
        pytest.param([Text("a"), Text("b", True)], "a\n\nb", id="another-text-comes-after"),
        pytest.param(
            answer("Draw-bare", "x"),
            "![image.png](https://pfst.cf2.poecdn.net/base/image/5ca1ab1e?w=1024&h=1024)",
            id="a-file-is-a-link",
        ),
    ],
)
def test_a_stream_takes_no_text_back(steps: list[Step], text: str) -> None:
    assert told(steps) == text


def test_a_stream_ends_as_openai_s_does() -> None:
    form = Form(HEAD, stream=True, usage=True)

    *_, stop, usage, done = chunks([Text("hi there")], form)

    assert stop["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 3)
    assert done == "[DONE]"


def test_a_late_error_is_told_without_done() -> None:
    *_, last = chunks(answer("Fail-late-insufficient_fund", "x"))

    assert last == body(FAILURES[402], "a", "This bot needs more points to answer your request.")


def test_an_early_error_has_its_status() -> None:
    (step,) = render(answer("Fail-user_message_too_long", "x"), FORM)

    assert isinstance(step, Status)
    assert step.status == 413


REQUEST = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("validation", "refused"),
    [
        pytest.param("legacy", set(), id="legacy"),
        pytest.param("strict", {"shoe_size"}, id="strict"),
        pytest.param("strictest", {"shoe_size", "user"}, id="strictest"),
    ],
)
def test_validation_refuses_undeclared_fields(validation: Any, refused: set[str]) -> None:
    seen = set()

    for name in ("temperature", "aspect", "user", "shoe_size"):
        try:
            from_request(REQUEST | {name: 1}, MODEL, Settings(validation=validation))
        except Malformed:
            seen.add(name)

    assert seen == refused


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"messages": []}, id="no-messages"),
        pytest.param({"messages": [{"role": "developer", "content": "x"}]}, id="developer"),
        pytest.param({"messages": [{"role": "user", "content": 7}]}, id="content-is-a-number"),
        pytest.param({"n": 2}, id="two-answers"),
        pytest.param({"temperature": 3}, id="too-hot"),
        pytest.param({"stop": [" "]}, id="stop-at-white-space"),
        pytest.param({"stop": ["a", "b", "c", "d", "e"]}, id="five-stops"),
    ],
)
def test_a_chat_request_that_poe_does_not_document_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        from_request(REQUEST | change, MODEL, Settings())


@pytest.mark.parametrize(
    "query",
    [
        pytest.param([], id="no-query"),
        pytest.param({"query": []}, id="empty-query"),
        pytest.param({"query": [{"role": "assistant", "content": "x"}]}, id="openai-s-role"),
        pytest.param({"query": [{"role": "user", "content": [{"text": "x"}]}]}, id="parts"),
        pytest.param(
            {"query": [{"role": "user", "content": "x"}], "stop_sequences": "x"}, id="bare-stop"
        ),
    ],
)
def test_a_query_that_poe_does_not_document_is_refused(query: Any) -> None:
    with pytest.raises(Malformed):
        from_query(query)


def test_the_same_conversation_has_the_same_hash_in_both_dialects() -> None:
    query = {"query": [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]

    chat = from_request({"model": "m", "messages": messages}, MODEL, Settings())

    assert chat.conversation == from_query(query).conversation


def test_every_model_has_somebody_who_answers() -> None:
    catalogue = Catalogue()
    models = catalogue.listing()["data"]

    assert {model["id"] for model in models} >= set(BOTS) - {"private"}
    assert all(catalogue.who_answers(model["id"]) for model in models)
    assert all(catalogue.who_answers(model["metadata"]["display_name"]) for model in models)
    assert all(model["created"] > 1e12 for model in models), "milliseconds, as Poe has it"


def test_a_long_text_is_the_same_for_ever() -> None:
    text = long_text(1, 1000)

    assert checksum(text) == "17ca4b2c1b844a026614a82e16822ed4d58dc0e87926d96f2ce070a72724bfbb"
    assert long_text(2, 1000) != text
