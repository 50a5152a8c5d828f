"""Requests for messages: what is asked, what is dropped, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from contract.messages import (
    Format,
    MediaPart,
    Message,
    Model,
    Options,
    TextPart,
    Tool,
    ToolCall,
)
from gateway.anthropic.count import counted
from gateway.anthropic.request import parse_message
from gateway.anthropic.thinking import UNSIGNED
from gateway.problems import Kind, Problem
from tests.unit.gateway_anthropic.rendering import ask_of, body_of

PIXEL = "iVBORw0KGgo="
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
READ = {"name": "read", "description": "Reads.", "input_schema": SCHEMA}


def messages_of(*messages: Any, **fields: Any) -> tuple[Message, ...]:
    return ask_of(messages=list(messages), **fields).messages


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def options_of(**fields: Any) -> Options:
    return ask_of(**fields).options


def test_a_conversation_with_a_system_prompt_is_read_in_order() -> None:
    cache = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}

    messages = messages_of(
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [text("b"), text("c")]},
        {"role": "system", "content": [text("now be terse", **cache)]},
        user(text("d", **cache), text("e")),
        {"role": "assistant", "content": "The answer is ("},
        system=[
            text("x-anthropic-billing-header: cc_version=2.1; cch=00;"),
            text("You are Claude.", **cache),
            text("Be kind."),
        ],
    )

    assert messages == (
        Message("system", "You are Claude.\nBe kind."),
        Message("user", "a"),
        Message("assistant", "b\nc"),
        Message("system", "now be terse"),
        Message("user", "d\ne"),
        Message("assistant", "The answer is ("),
    )
    assert messages_of({"role": "user", "content": "a"}, system="Hi.")[0] == (
        Message("system", "Hi.")
    )


def test_images_and_documents_are_media() -> None:
    (message,) = messages_of(
        user(
            IMAGE,
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL},
                "context": "of May",
                "citations": {"enabled": True},
            },
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "title": "Y"},
            {"type": "document", "source": {"type": "text", "data": "plain"}, "title": "T"},
            {"type": "document", "source": {"type": "content", "content": [text("in")]}},
            {"type": "search_result", "source": "s", "title": "t", "content": [text("found")]},
        )
    )

    assert message.content == (
        MediaPart("image", f"data:image/png;base64,{PIXEL}", "image/png"),
        MediaPart("image", "https://x/y.png"),
        TextPart("of May"),
        MediaPart(
            "file", f"data:application/pdf;base64,{PIXEL}", "application/pdf", "document.pdf"
        ),
        MediaPart("file", "https://x/y.pdf", "", "Y"),
        TextPart("T\nplain"),
        TextPart("in"),
        TextPart("t\ns"),
        TextPart("found"),
    )


def test_rounds_of_tools_keep_their_ids_and_thoughts_are_left_out() -> None:
    messages = messages_of(
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": UNSIGNED},
                {"type": "redacted_thinking", "data": "x"},
                text("I look."),
                {"type": "tool_use", "id": "t1", "name": "read", "input": {"a": "é"}},
                {"type": "tool_use", "id": "t2", "name": "read"},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ],
        },
        user(
            {"type": "tool_result", "tool_use_id": "t1", "content": [text("one"), text("two")]},
            {"type": "tool_result", "tool_use_id": "t2", "content": "gone", "is_error": True},
            text("And?"),
        ),
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": ""}]},
    )

    assert messages == (
        Message("user", "go"),
        Message(
            "assistant",
            "I look.",
            tool_calls=(ToolCall("t1", "read", '{"a":"é"}'), ToolCall("t2", "read", "{}")),
        ),
        Message("tool", "one\ntwo", tool_call_id="t1"),
        Message("tool", "Error: gone", tool_call_id="t2"),
        Message("user", "And?"),
    )


def test_the_files_of_a_tools_result_follow_it_in_the_users_message() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [IMAGE]}

    assert messages_of(user(result, text("See?"))) == (
        Message("tool", "(Its files follow.)", tool_call_id="t1"),
        Message(
            "user",
            (
                TextPart("Files of the result of t1:"),
                MediaPart("image", f"data:image/png;base64,{PIXEL}", "image/png"),
                TextPart("See?"),
            ),
        ),
    )


def test_parameters_become_options() -> None:
    options = options_of(
        max_tokens=100.0,
        temperature=0.5,
        top_p=0.9,
        stop_sequences=["END", "", None, *"abcdef"],
        tools=[READ | {"strict": True, "cache_control": {}}, {"name": "wait"}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )

    assert options == Options(
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        stop=("END", *"abcdef"),
        names_stop=True,
        tools=(Tool("read", "Reads.", SCHEMA, True), Tool("wait")),
        parallel_tool_calls=False,
        format=Format("", SCHEMA),
    )
    assert options_of(output_format={"type": "json_schema", "schema": SCHEMA}).format == (
        Format("", SCHEMA)
    )


SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


@pytest.mark.parametrize(
    ("tools", "choice", "told"),
    [
        ([READ], {"type": "auto"}, ("", "")),
        ([READ], {"type": "any"}, ("required", "")),
        ([READ], {"type": "tool", "name": "read"}, ("required", "read")),
        ([READ], {"type": "none"}, ("none", "")),
        ([READ], {"type": "of next year"}, ("", "")),
        ([SEARCH], {"type": "any"}, ("", "")),
        ([READ, SEARCH], {"type": "tool", "name": "web_search"}, ("", "")),
    ],
)
def test_a_choice_of_tools_is_kept_as_far_as_there_are_such_tools(
    tools: list[Any], choice: dict[str, Any], told: tuple[str, str]
) -> None:
    options = options_of(tools=tools, tool_choice=choice)

    assert (options.tool_choice, options.tool_name) == told


def test_a_search_of_the_web_is_the_models_own_where_it_has_one() -> None:
    ask = ask_of(tools=[READ, SEARCH, {"type": "bash_20250124", "name": "bash"}])
    searching = Model("m", 0, "", parameters={"web_search": {"type": "boolean"}})

    assert [tool.name for tool in ask.options.tools] == ["read"]
    assert ask.options_for(searching).extra == {"web_search": True}
    assert ask.options_for(Model("m", 0, "")).extra == {}
    assert ask.options_for(None).extra == {}


@pytest.mark.parametrize(
    ("fields", "effort", "budget"),
    [
        ({}, "", None),
        ({"thinking": {"type": "disabled"}}, "none", None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low", 1024),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "medium", 4096),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, "high", 31999),
        ({"thinking": {"type": "enabled"}}, "high", None),
        ({"thinking": {"type": "adaptive"}}, "high", None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "xhigh", None),
        ({"output_config": {"effort": "low"}}, "low", None),
        ({"output_config": {"effort": "of next year"}}, "", None),
        ({"output_config": {"effort": {"level": 3}}}, "", None),
        ({"thinking": {"type": "of next year", "x": 1}}, "", None),
    ],
)
def test_how_much_a_model_thinks(fields: dict[str, Any], effort: str, budget: int | None) -> None:
    options = options_of(**fields)

    assert (options.reasoning_effort, options.thinking_budget) == (effort, budget)


def test_fields_beyond_these_go_to_models_that_declare_them() -> None:
    ask = ask_of(top_k=40, container="c", context_management={"edits": []}, aspect="16:9")
    model = Model("m", 0, "", parameters={"aspect": {"type": "string"}, "top_k": {}})

    assert ask.options_for(model).extra == {"top_k": 40, "aspect": "16:9"}
    assert ask.options_for(None).extra == {}


CORPUS = json.loads((Path(__file__).parent / "beta_fields.json").read_bytes())
"""Fields of betas, known ones and some that do not exist, each at a place of its own."""


@pytest.mark.parametrize("name", CORPUS)
def test_no_field_of_a_beta_is_refused(name: str) -> None:
    ask = ask_of(**CORPUS[name])

    assert ask.messages
    assert ask.native is not None
    assert json.loads(ask.native.body[0])["model"] == "m"


def test_bounds_of_unknown_fields_are_no_refusals() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    many = {f"field_{i}": i for i in range(100)}

    extra = ask_of(large="x" * 70_000, deep=deep, big=2**80, **{"n" * 70: 1}, **many).options.extra

    assert set(extra) < set(many)
    assert len(extra) == 64


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [user({"type": "image"})]}, "messages[0].content[0].source"),
        (
            {"messages": [user({"type": "image", "source": {"type": "base64"}})]},
            "messages[0].content[0].source.data",
        ),
        (
            {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
            "messages[0].content[0].source.file_id",
        ),
        (
            {"messages": [user({"type": "tool_result", "content": "x"})]},
            "messages[0].content[0].tool_use_id",
        ),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"tools": [{"description": "no name"}]}, "tools[0].name"),
        ({"tools": [{"name": "f", "input_schema": {"type": 7}}]}, "tools[0].input_schema"),
        ({"tools": [READ], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": [READ], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"stop_sequences": ["x"] * 200}, "stop_sequences"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Problem) as caught:
        ask_of(**fields)

    assert caught.value.kind is Kind.BAD_REQUEST
    assert caught.value.param == param


def test_halves_of_surrogate_pairs_are_replaced_wherever_they_are() -> None:
    body = body_of(messages=[user(text("HALF"))]).replace(b"HALF", b"a\\ud83d b")

    ask = parse_message(body)

    assert ask.messages == (Message("user", "a\ufffd b"),)
    assert ask.native is not None
    assert json.loads(ask.native.body[0])["messages"][0]["content"][0]["text"] == "a\ufffd b"


def test_the_body_goes_on_as_it_came() -> None:
    body = b' {"model": "m", "messages": [{"role":"user","content":"hi"}], "x": 1.0,\n "y": {}}'

    ask = parse_message(body)

    assert ask.native is not None
    assert (ask.native.path, ask.native.body) == ("/v1/messages", (body,))


def test_thoughts_that_nobody_has_signed_are_taken_out_and_all_else_stays() -> None:
    mine = f'{{"type":"thinking","thinking":"hm","signature":"{UNSIGNED}"}}'
    theirs = '{"type": "thinking", "thinking": "ah",  "signature": "EqQ="}'
    said = '{"type":"text", "text":"see ' + UNSIGNED + '" }'
    body = (
        f'{{"model":"m","x":1.0,"messages":[{{"role":"assistant","content":[{mine}, {theirs}]}},'
        f'{{"role":"assistant","content":[{mine}]}},{{"role":"user","content":[{mine},{said}]}},'
        f'{{"role":"user",  "content":"hi {UNSIGNED}"}}],"y":{{}}}}'
    )

    ask = parse_message(body.encode())

    assert ask.native is not None
    assert ask.native.body[0].decode() == (
        f'{{"model":"m","x":1.0,"messages":[{{"role":"assistant","content":[{theirs}]}},'
        f'{{"role":"user","content":[{said}]}},'
        f'{{"role":"user",  "content":"hi {UNSIGNED}"}}],"y":{{}}}}'
    )


def test_a_message_without_content_may_hold_the_mark_anywhere() -> None:
    body = body_of(messages=[{"role": "user", "x": UNSIGNED}, user(text("hi"))])

    assert parse_message(body).messages == (Message("user", "hi"),)


def test_tokens_are_estimated_by_the_rule_of_answers() -> None:
    reply = counted(ask_of(messages=[{"role": "user", "content": "x" * 400}], tools=[READ]))

    assert reply.status == 200
    assert 100 < json.loads(reply.body)["input_tokens"] < 160
    assert ("x-token-count", "estimated") in reply.headers
