"""Jobs as bodies of POST /v1/chat/completions."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from contract.messages import (
    Format,
    Job,
    MediaPart,
    Message,
    Model,
    Options,
    TextPart,
    Tool,
    ToolCall,
)
from worker.openai.request import body_of
from worker.poe.faults import Fault, FaultKind
from worker.poe.upstream import Ask

HI = (Message("user", "Hi"),)
PLAIN = Options()
EVERYTHING = Options(
    temperature=0.5,
    stop=("END", " \n", "a", "b", "c", "d"),
    logit_bias={"50256": -100.0},
    top_p=0.9,
    max_tokens=100,
    reasoning_effort="high",
    tools=(Tool("look", "Looks.", {"type": "object"}, strict=True), Tool("wait")),
    tool_choice="auto",
    parallel_tool_calls=False,
    format=Format("x", {"type": "object"}),
    extra={"aspect": "16:9", "seed": 1},
)


def job(*messages: Message, options: Options = PLAIN) -> Job:
    return Job("j", "c", "Bot", messages or HI, options)


def body_for(
    job: Job,
    model: Model | None = None,
    *,
    simulate_roles: Literal[0, 1, 2] = 0,
    stream: bool = True,
) -> dict[str, Any]:
    return body_of(Ask(job, model, simulate_roles), stream=stream)


def test_a_plain_question_is_asked_as_a_stream_with_token_counts() -> None:
    assert body_for(job()) == {
        "model": "Bot",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_stop_sequences_of_which_the_client_is_told_are_left_to_the_worker() -> None:
    assert "stop" not in body_for(job(options=Options(stop=("END",), names_stop=True)))


def test_a_whole_answer_is_asked_for_without_a_streams_options() -> None:
    assert body_for(job(), stream=False) == {
        "model": "Bot",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
    }


@pytest.mark.parametrize("model", [None, Model("bot", 0, "")])
def test_what_poe_supports_is_sent_and_nothing_that_it_ignores(model: Model | None) -> None:
    body = body_for(job(options=EVERYTHING), model)

    assert {name: body[name] for name in body if name not in ("model", "messages")} == {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "stop": ["END", "a", "b", "c"],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "look",
                    "description": "Looks.",
                    "parameters": {"type": "object"},
                },
            },
            {"type": "function", "function": {"name": "wait"}},
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }


def test_what_the_model_declares_is_sent_at_the_top_level() -> None:
    model = Model("bot", 0, "", parameters={"aspect": {}, "output_effort": {"enum": ["max"]}})

    body = body_for(job(options=EVERYTHING), model)

    assert body["aspect"] == "16:9"
    assert body["output_effort"] == "max"
    assert "seed" not in body


def test_the_length_of_an_answer_is_told_once() -> None:
    model = Model("bot", 0, "", parameters={"max_output_tokens": {"maximum": 50}})

    body = body_for(job(options=EVERYTHING), model)

    assert body["max_output_tokens"] == 50
    assert "max_tokens" not in body


def test_less_tokens_than_poe_takes_are_not_asked_for() -> None:
    assert body_for(job(options=Options(max_tokens=5)))["max_tokens"] == 16


def test_one_tool_may_be_demanded_by_its_name() -> None:
    options = Options(tools=(Tool("look"),), tool_choice="required", tool_name="look")

    choice = body_for(job(options=options))["tool_choice"]

    assert choice == {"type": "function", "function": {"name": "look"}}


def test_a_choice_among_no_tools_is_not_sent() -> None:
    body = body_for(job(options=Options(tool_choice="none", parallel_tool_calls=True)))

    assert body.keys() == {"model", "messages", "stream", "stream_options"}


def test_a_round_of_tool_calls_stays_what_it_is() -> None:
    calls = (ToolCall("c1", "look", "{}"), ToolCall("c2", "look", '{"at": 1}'))
    body = body_for(
        job(
            Message("system", "Be brief."),
            Message("user", "Look!", name="ann"),
            Message("assistant", "", tool_calls=calls),
            Message("tool", "a cat", tool_call_id="c1"),
            Message("tool", "", tool_call_id="c2"),
        )
    )

    def called(identifier: str, arguments: str) -> dict[str, Any]:
        function = {"name": "look", "arguments": arguments}
        return {"id": identifier, "type": "function", "function": function}

    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look!", "name": "ann"},
        {"role": "assistant", "tool_calls": [called("c1", "{}"), called("c2", '{"at": 1}')]},
        {"role": "tool", "content": "a cat", "tool_call_id": "c1"},
        {"role": "tool", "content": "", "tool_call_id": "c2"},
    ]


def test_parts_are_sent_in_their_order() -> None:
    content = (
        TextPart("What is this?"),
        MediaPart("image", "https://x/cat.png", detail="low"),
        MediaPart("image", "data:image/png;base64,aa"),
        MediaPart("audio", "data:audio/mpeg;base64,bb"),
        MediaPart("file", "data:application/pdf;base64,cc", name="a.pdf"),
    )

    (message,) = body_for(job(Message("user", content)))["messages"]

    assert message["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://x/cat.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}},
        {"type": "file", "file": {"filename": "audio", "file_data": "data:audio/mpeg;base64,bb"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cc"},
        },
    ]


def test_roles_are_flattened_where_that_is_set_and_pictures_kept() -> None:
    picture = MediaPart("image", "https://x/cat.png")
    asked = job(
        Message("system", "Be brief."),
        Message("user", (TextPart("What is this?"), picture)),
        Message("assistant", "A cat."),
    )

    (message,) = body_for(asked, simulate_roles=1)["messages"]

    assert message["role"] == "user"
    assert message["content"] == [
        {
            "type": "text",
            "text": "||>Instructions:\nBe brief.\n||>User:\nWhat is this?\n"
            "||>Assistant:\nA cat.\n||>Assistant:\n",
        },
        {"type": "image_url", "image_url": {"url": "https://x/cat.png"}},
    ]


def test_headings_are_left_out_where_they_are_not_needed() -> None:
    asked = job(Message("system", "Be brief."), Message("user", "Hi"))

    (message,) = body_for(asked, simulate_roles=2)["messages"]

    assert message == {"role": "user", "content": "Be brief.\nHi\n"}


def test_a_conversation_without_messages_is_refused() -> None:
    with pytest.raises(Fault) as refused:
        body_for(Job("j", "c", "Bot", ()))

    assert refused.value.kind is FaultKind.BAD_REQUEST
