"""Schemas, attachments, limits and the fields that a model declares."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulated_poe.ask import Ask, from_query
from simulated_poe.bots import find
from simulated_poe.catalogue import Catalogue
from simulated_poe.chat import Form, from_request, render
from simulated_poe.chunks import Head
from simulated_poe.failures import Malformed
from simulated_poe.limited import limited
from simulated_poe.schemas import instance, schema_in
from simulated_poe.settings import Settings
from simulated_poe.steps import DONE, End, Raw, Status, Step, Text, Thought, pieces

HEAD = Head("chatcmpl-1", "Echo", 0, 1)


def answer(name: str, *messages: tuple[str, str]) -> str:
    found = find(name)
    assert found is not None
    bot, variant = found
    text = next((text for role, text in reversed(messages) if role == "user"), "")
    ask = Ask(text, {}, {}, "", variant, messages=messages)
    return "".join(step.text for step in bot.play(ask) if isinstance(step, Text))


def request(model: str, settings: Settings | None = None, **fields: Any) -> Ask:
    who = Catalogue().who_answers(model)
    assert who is not None
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
    return from_request(body, who.model, settings or Settings())


def told(steps: list[Step], settings: Settings) -> list[Any]:
    raws = [raw for raw in render(steps, Form(HEAD, True, True, settings)) if isinstance(raw, Raw)]
    lines = b"".join(raw.data for raw in raws).decode().split("\n\n")[:-1]
    return [json.loads(line[6:]) if line.startswith("data: {") else line for line in lines]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param(
            {"properties": {"a": {"type": "integer", "minimum": 3}, "b": {}}, "required": ["a"]},
            {"a": 3},
            id="only-what-is-required",
        ),
        pytest.param({"enum": ["x", "y"]}, "x", id="enum"),
        pytest.param({"const": 7}, 7, id="const"),
        pytest.param({"type": ["null", "string"]}, None, id="types"),
        pytest.param({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, 1, id="number"),
        pytest.param({"type": "integer", "maximum": -2}, -2, id="below-zero"),
        pytest.param({"type": "array", "minItems": 2, "items": {"type": "boolean"}}, [True] * 2),
        pytest.param({"type": "string", "minLength": 6}, "textxx", id="long"),
        pytest.param({"anyOf": [{"type": "null"}, {"type": "string"}]}, None, id="any-of"),
        pytest.param(
            {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string", "format": "date"}}},
            "2026-01-02",
            id="reference",
        ),
    ],
)
def test_the_smallest_value_matches(schema: dict[str, Any], value: object) -> None:
    assert instance(schema) == value


def test_a_schema_is_found_in_prose() -> None:
    schema = {"type": "object", "properties": {}}

    assert schema_in(f"Use {{braces}} {{}} as in: {json.dumps(schema)}. Thanks {{") == schema
    assert schema_in(json.dumps({"name": "x", "schema": schema})) == schema
    assert schema_in("No {schema} here") is None


SYSTEM = ("system", 'Answer as {"type": "object", "properties": {"n": {}}, "required": ["n"]}')


def test_json_answers_what_the_instructions_ask_for() -> None:
    assert json.loads(answer("Json", SYSTEM, ("user", "go"))) == {"n": "text"}
    assert json.loads(answer("Json", ("user", "go"))) == {"answer": "go"}
    assert '```json\n{"n":"text"}\n```' in answer("Json-fenced", SYSTEM, ("user", "go"))


@pytest.mark.parametrize("variant", ["broken", "wrong"])
def test_json_can_be_corrected(variant: str) -> None:
    name = f"Json-{variant}"
    first = answer(name, SYSTEM, ("user", "go"))
    second = answer(name, SYSTEM, ("user", "go"), ("bot", first), ("user", "Mend that."))

    assert "n" not in (json.loads(first) if variant == "wrong" else {})
    assert json.loads(second) == {"n": "text"}


def test_json_never_can_be_corrected_if_so_asked() -> None:
    first = answer("Json-never", ("user", "go"))

    assert answer("Json-never", ("user", "go"), ("bot", first), ("user", "Mend")) == first
    with pytest.raises(ValueError, match="value"):
        json.loads(first)


@pytest.mark.parametrize(
    ("stop", "most", "steps", "text", "reason"),
    [
        pytest.param((), 2, pieces("one two three", 4), "one two", "length", id="words"),
        pytest.param((), 2, pieces("one two ", 4), "one two ", None, id="just-enough"),
        pytest.param(("STOP",), None, pieces("a ST b STOP c", 1), "a ST b ", "stop", id="stop"),
        pytest.param(("STOP",), None, pieces("a STO", 1), "a STO", None, id="no-stop-after-all"),
        pytest.param(
            ("x",), None, [Text("ab"), Text("cxd", replaces=True)], "c", "stop", id="replaced"
        ),
    ],
)
def test_an_answer_ends_at_its_limit(
    stop: tuple[str, ...], most: int | None, steps: Any, text: str, reason: str | None
) -> None:
    played = list(limited([*steps, DONE], stop, most))

    final = ""
    for step in played:
        if isinstance(step, Text):
            final = step.text if step.replaces else final + step.text
    assert final == text
    assert [step.reason for step in played if isinstance(step, End)] == ([reason] if reason else [])
    assert played[-1] == DONE


def test_a_stop_sequence_is_never_begun() -> None:
    played = limited(pieces("a STOP b", 1), ("STOP",), None)

    assert "".join(step.text for step in played if isinstance(step, Text)) == "a "


def test_the_limit_s_reason_is_told() -> None:
    *_, finish, usage, _ = told(list(limited(pieces("a b c"), (), 2)), Settings())

    assert finish["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["completion_tokens"] == 2


def test_thoughts_can_be_told_apart() -> None:
    settings = Settings(thoughts="reasoning_content")
    ask = request("Reason", settings)
    found = find("Reason")
    assert found is not None
    steps = list(found[0].play(ask))

    deltas = [c["choices"][0]["delta"] for c in told(steps, settings)[:-2]]
    (whole,) = render(steps, Form(HEAD, stream=False, usage=False, settings=settings))

    thoughts = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert thoughts == "The question is:\n\nhi"
    assert "".join(delta.get("content") or "" for delta in deltas) == "The answer to: hi"
    assert isinstance(whole, Status)
    assert whole.body["choices"][0]["message"]["reasoning_content"] == thoughts
    assert any(isinstance(step, Thought) for step in steps)


def test_chunks_can_lack_an_index_and_come_with_comments() -> None:
    lines = told([Text("a"), Text("b")], Settings(choice_index=False, comments=True))

    assert lines.count(": ping") == 2
    choices = [c for line in lines if isinstance(line, dict) for c in line["choices"]]
    assert len(choices) == 3
    assert all("index" not in choice for choice in choices)


@pytest.mark.parametrize(
    ("model", "fields", "word"),
    [
        pytest.param("GPT-5.4", {"reasoning_effort": "extreme"}, "reasoning_effort", id="enum"),
        pytest.param("claude-sonnet-4.5", {"thinking_budget": 40_000}, "31999", id="maximum"),
        pytest.param("GLM-5.2", {"enable_thinking": "true"}, "boolean", id="type"),
        pytest.param("GPT-4o", {"thinking_level": "low"}, "thinking_level", id="another-s"),
        pytest.param("o4-mini", {"temperature": 1}, "temperature", id="no-temperature"),
        pytest.param("GPT-4o", {"max_tokens": 5}, ">= 16", id="too-few-tokens"),
        pytest.param("Echo", {"max_tokens": 0}, "max_tokens", id="no-tokens"),
    ],
)
def test_a_model_refuses_what_it_does_not_take(
    model: str, fields: dict[str, Any], word: str
) -> None:
    with pytest.raises(Malformed, match=word):
        request(model, **fields)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        pytest.param("GPT-5.4", {"reasoning_effort": "xhigh", "temperature": 1}, id="effort"),
        pytest.param("claude-opus-4.8", {"output_effort": "max", "web_search": False}, id="opus"),
        pytest.param("Qwen3.7-Plus", {"enable_thinking": True, "max_output_tokens": 9}, id="qwen"),
        pytest.param("Echo", {"max_tokens": 1}, id="one-token"),
    ],
)
def test_a_model_takes_what_it_declares(model: str, fields: dict[str, Any]) -> None:
    declared = request(model, Settings(validation="strictest"), **fields).parameters

    assert declared.items() <= fields.items()
    assert declared.keys() == fields.keys() - {"temperature", "max_tokens"}


DATA = "data:image/png;base64,iVBORw0="


def see(ask: Ask) -> str:
    found = find("See")
    assert found is not None
    return "".join(step.text for step in found[0].play(ask) if isinstance(step, Text))


def test_see_describes_what_it_is_sent() -> None:
    attachment = {"url": "https://x.example/a.png", "content_type": "image/png", "name": "a.png"}
    message = {"role": "user", "content": "x", "attachments": [attachment]}
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"filename": "b.pdf", "file_data": DATA}},
    ]

    asked = from_query({"query": [message]})
    chatted = request("See", messages=[{"role": "user", "content": parts}])

    assert see(asked) == "1. a.png (image/png): https://x.example/a.png"
    assert see(chatted).splitlines() == [
        "1. image_url (image/png): https://x.example/a.png",
        f"2. b.pdf (image/png): {len(DATA)} characters",
    ]


@pytest.mark.parametrize(
    "attachment",
    [
        pytest.param({"url": "https://x.example"}, id="only-a-url"),
        pytest.param({"url": DATA, "content_type": "image/png", "name": "a"}, id="inline"),
        pytest.param({"url": "https://x", "content_type": None, "name": "a"}, id="null"),
    ],
)
def test_an_attachment_that_poe_s_library_would_not_make_is_refused(attachment: Any) -> None:
    message = {"role": "user", "content": "x", "attachments": [attachment]}

    with pytest.raises(Malformed, match="attachments"):
        from_query({"query": [message]})


@pytest.mark.parametrize(
    "part",
    [
        pytest.param({"type": "video"}, id="an-unknown-type"),
        pytest.param({"type": "image_url", "image_url": "https://x.example"}, id="a-bare-url"),
        pytest.param({"type": "image_url", "image_url": {"url": "x"}}, id="no-url"),
        pytest.param({"type": "file", "file": {"file_data": "AAAA"}}, id="a-file-without-type"),
        pytest.param({"type": "file", "file": {"file_id": "f-1"}}, id="a-file-s-id"),
        pytest.param({"type": "text"}, id="a-text-without-text"),
    ],
)
def test_a_part_that_poe_does_not_document_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        request("See", messages=[{"role": "user", "content": [part]}])
