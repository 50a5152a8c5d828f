"""A job as the body of a bot query."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from contract.messages import (
    Job,
    MediaPart,
    Message,
    Model,
    Options,
    TextPart,
    Tool,
    ToolCall,
)
from worker.bot.request import query_of
from worker.poe.attachments import Attachment
from worker.poe.faults import Fault, FaultKind
from worker.poe.upstream import Ask

SYSTEM = Message("system", "Be brief.")
USER = Message("user", "Hi")
ASSISTANT = Message("assistant", "Hello.")


def body(
    *messages: Message,
    simulate_roles: Literal[0, 1, 2] = 0,
    options: Options | None = None,
    model: Model | None = None,
    attachments: dict[MediaPart, Attachment] | None = None,
) -> Any:
    job = Job("j1", "c1", "GPT-4o", messages, options or Options())
    query = query_of(Ask(job, model, simulate_roles, attachments or {}))
    return msgspec.json.decode(msgspec.json.encode(query))


def said(*messages: Message, simulate_roles: Literal[0, 1, 2] = 0) -> list[tuple[str, str]]:
    job = Job("j1", "c1", "GPT-4o", messages)
    return [(m.role, m.content) for m in query_of(Ask(job, simulate_roles=simulate_roles)).query]


def test_sends_what_was_asked_for_and_no_nulls() -> None:
    assert body(USER) == {
        "version": "1.2",
        "type": "query",
        "query": [{"role": "user", "content": "Hi", "content_type": "text/markdown"}],
        "user_id": "",
        "conversation_id": "",
        "message_id": "",
    }


def test_passes_the_options_on() -> None:
    options = Options(temperature=0.0, stop=("END",), logit_bias={"42": -100.0})

    sent = body(USER, options=options)

    assert sent["temperature"] == 0.0
    assert sent["stop_sequences"] == ["END"]
    assert sent["logit_bias"] == {"42": -100.0}


def test_stop_sequences_of_which_the_client_is_told_are_left_to_the_worker() -> None:
    options = Options(stop=("END",), names_stop=True)

    assert "stop_sequences" not in body(Message("user", "Hi"), options=options)


def test_real_roles_are_sent_under_poes_names() -> None:
    assert said(SYSTEM, USER, ASSISTANT, USER) == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("bot", "Hello."),
        ("user", "Hi"),
    ]


def test_without_tools_calls_and_results_are_told_as_text() -> None:
    call = ToolCall("c1", "weather", '{"city":"Paris"}')

    assert said(
        USER,
        Message("assistant", "", tool_calls=(call,)),
        Message("assistant", "Wait.", tool_calls=(call,)),
        Message("tool", "sunny", tool_call_id="c1"),
    ) == [
        ("user", "Hi"),
        ("bot", 'Tool call c1: weather({"city":"Paris"})'),
        ("bot", 'Wait.\nTool call c1: weather({"city":"Paris"})'),
        ("user", "Result of the tool call c1:\nsunny"),
    ]


# Tools.

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "Tells the weather.", CITY)
CLOCK = Tool("clock")
PARIS = ToolCall("c1", "weather", '{"city":"Paris"}')
ASKED = Message("assistant", "", tool_calls=(PARIS,))
SUNNY = Message("tool", "sunny", tool_call_id="c1")


def test_tools_go_natively_with_the_whole_of_their_schemas() -> None:
    schema = CITY | {
        "$defs": {"size": {"enum": ["s", None], "default": None}},
        "additionalProperties": False,
    }

    sent = body(USER, options=Options(tools=(Tool("weather", "Tells it.", schema),)))

    assert sent["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Tells it.", "parameters": schema},
        }
    ]
    assert not sent.keys() & {"tool_calls", "tool_results"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(None, {"type": "object", "properties": {}}, id="no arguments"),
        pytest.param({"type": "object"}, {"type": "object", "properties": {}}, id="none named"),
        pytest.param(CITY | {"$defs": None}, CITY, id="a null at the top"),
        pytest.param(
            {"properties": {"x": {}}, "required": None},
            {"type": "object", "properties": {"x": {}}},
            id="no type",
        ),
    ],
)
def test_a_schema_has_what_poes_library_requires(
    given: dict[str, Any] | None, told: dict[str, Any]
) -> None:
    sent = body(USER, options=Options(tools=(Tool("f", parameters=given),)))

    assert sent["tools"][0]["function"] == {"name": "f", "description": "", "parameters": told}


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        pytest.param(Options(tool_choice="auto"), ["weather", "clock"], id="auto"),
        pytest.param(Options(tool_choice="required"), ["weather", "clock"], id="some tool"),
        pytest.param(Options(tool_choice="required", tool_name="clock"), ["clock"], id="one tool"),
        pytest.param(Options(tool_choice="none"), None, id="no tool"),
    ],
)
def test_a_choice_of_tools_is_a_choice_of_what_is_offered(
    options: Options, offered: list[str] | None
) -> None:
    sent = body(USER, options=msgspec.structs.replace(options, tools=(WEATHER, CLOCK)))

    assert [t["function"]["name"] for t in sent.get("tools", [])] == (offered or [])
    assert ("tools" in sent) is (offered is not None)


def test_with_tools_answered_calls_go_into_poes_lists_and_not_into_the_text() -> None:
    sent = body(SYSTEM, USER, ASKED, SUNNY, options=Options(tools=(WEATHER,)))

    assert [(m["role"], m["content"]) for m in sent["query"]] == [
        ("system", "Be brief."),
        ("user", "Hi"),
    ]
    assert sent["tool_calls"] == [
        {
            "type": "function",
            "id": "c1",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
        }
    ]
    assert sent["tool_results"] == [
        {"role": "tool", "name": "weather", "tool_call_id": "c1", "content": "sunny"}
    ]


def test_where_no_tool_may_be_called_the_calls_of_the_past_are_text() -> None:
    options = Options(tools=(WEATHER,), tool_choice="none")

    sent = body(USER, ASKED, SUNNY, options=options)

    assert not sent.keys() & {"tools", "tool_calls", "tool_results"}
    assert [m["content"] for m in sent["query"]] == [
        "Hi",
        'Tool call c1: weather({"city":"Paris"})',
        "Result of the tool call c1:\nsunny",
    ]


def test_a_conversation_of_nothing_but_tool_calls_is_told_as_text() -> None:
    sent = body(ASKED, SUNNY, options=Options(tools=(WEATHER,)))

    assert [m["role"] for m in sent["query"]] == ["bot", "user"]
    assert "tool_calls" not in sent


# Attachments.

CAT = MediaPart("image", "data:image/png;base64,AAAA")
DOG = MediaPart("image", "https://example.com/dog.jpg")
UPLOADED = {
    CAT: Attachment("https://a.poecdn.net/cat", "image/png", "cat.png"),
    DOG: Attachment("https://a.poecdn.net/dog", "image/jpeg", "dog.jpg"),
}
LOOK = Message("user", (TextPart("Look:"), CAT, TextPart("What is it?")))


def test_attachments_go_with_their_messages() -> None:
    sent = body(LOOK, ASSISTANT, Message("user", (CAT, DOG)), attachments=UPLOADED)

    cat = {"url": "https://a.poecdn.net/cat", "content_type": "image/png", "name": "cat.png"}
    dog = {"url": "https://a.poecdn.net/dog", "content_type": "image/jpeg", "name": "dog.jpg"}
    assert sent["query"] == [
        {
            "role": "user",
            "content": "Look:\nWhat is it?",
            "content_type": "text/markdown",
            "attachments": [cat],
        },
        {"role": "bot", "content": "Hello.", "content_type": "text/markdown"},
        {
            "role": "user",
            "content": "",
            "content_type": "text/markdown",
            "attachments": [cat, dog],
        },
    ]


@pytest.mark.parametrize("simulate_roles", [1, 2])
def test_simulated_roles_keep_the_attachments(simulate_roles: Literal[0, 1, 2]) -> None:
    sent = body(
        LOOK,
        Message("user", (DOG,)),
        ASKED,
        SUNNY,
        simulate_roles=simulate_roles,
        options=Options(tools=(WEATHER,)),
        attachments=UPLOADED,
    )

    (message,) = sent["query"]
    assert [each["name"] for each in message["attachments"]] == ["cat.png", "dog.jpg"]
    assert message["content"].startswith("||>User:\nLook:\nWhat is it?\n||>User:\n")
    assert len(sent["tool_results"]) == 1


# Parameters.


def test_parameters_go_with_the_last_message_of_the_user() -> None:
    model = Model("m", 0, "o", parameters={"aspect": {"enum": ["1:1", "3:2"]}})
    options = Options(extra={"aspect": "3:2", "undeclared": 1})

    sent = body(USER, ASSISTANT, USER, ASSISTANT, options=options, model=model)

    assert [m.get("parameters") for m in sent["query"]] == [None, None, {"aspect": "3:2"}, None]


def test_parameters_are_kept_where_no_user_speaks() -> None:
    sent = body(SYSTEM, ASSISTANT, options=Options(extra={"seed": 7}))

    assert [m.get("parameters") for m in sent["query"]] == [None, {"seed": 7}]


def test_a_bot_may_be_asked_to_add_nothing() -> None:
    sent = body(USER, options=Options(extra={"skip_system_prompt": True}))

    assert sent["skip_system_prompt"] is True
    assert "parameters" not in sent["query"][0]
    assert "skip_system_prompt" not in body(USER)


def test_a_field_of_poes_own_is_checked() -> None:
    with pytest.raises(Fault, match="`skip_system_prompt` must be true or false") as caught:
        body(USER, options=Options(extra={"skip_system_prompt": "yes"}))

    assert caught.value.kind is FaultKind.BAD_REQUEST
    assert not caught.value.sent


# Simulated roles.

FLAT = (
    "||>Instructions:\nBe brief.\n||>User:\nHi\n||>Assistant:\nHello.\n||>User:\nHi\n"
    "||>Assistant:\n"
)


@pytest.mark.parametrize(
    ("simulate_roles", "messages", "text"),
    [
        pytest.param(1, [SYSTEM, USER, ASSISTANT, USER], FLAT, id="on"),
        pytest.param(1, [USER], "||>User:\nHi\n||>Assistant:\n", id="on, one message"),
        pytest.param(2, [SYSTEM, USER, ASSISTANT, USER], FLAT, id="auto, a conversation"),
        pytest.param(2, [USER], "Hi\n", id="auto, one message"),
        pytest.param(2, [SYSTEM], "Be brief.\n", id="auto, instructions"),
        pytest.param(2, [SYSTEM, USER], "Be brief.\nHi\n", id="auto, instructions and one message"),
        pytest.param(
            2,
            [USER, SYSTEM],
            "||>User:\nHi\n||>Instructions:\nBe brief.\n||>Assistant:\n",
            id="auto, the other way round",
        ),
    ],
)
def test_roles_are_simulated_as_poe2gpt_did(
    simulate_roles: Literal[0, 1, 2], messages: list[Message], text: str
) -> None:
    assert said(*messages, simulate_roles=simulate_roles) == [("user", text)]


@pytest.mark.parametrize("simulate_roles", [0, 1, 2])
def test_a_query_is_never_empty(simulate_roles: Literal[0, 1, 2]) -> None:
    with pytest.raises(Fault) as caught:
        body(simulate_roles=simulate_roles)

    assert caught.value.kind is FaultKind.BAD_REQUEST
    assert not caught.value.sent
