"""A job as the body of a bot query."""

from __future__ import annotations

import msgspec
import pytest

from contract.messages import Job, Message, Options, ToolCall
from worker.bot.query import query_of
from worker.poe.faults import Fault, FaultKind

SYSTEM = Message("system", "Be brief.")
USER = Message("user", "Hi")
ASSISTANT = Message("assistant", "Hello.")


def body(*messages: Message, simulate_roles: int = 0, options: Options | None = None) -> object:
    job = Job("j1", "c1", "GPT-4o", messages, options or Options())
    return msgspec.json.decode(msgspec.json.encode(query_of(job, simulate_roles)))


def said(*messages: Message, simulate_roles: int = 0) -> list[tuple[str, str]]:
    job = Job("j1", "c1", "GPT-4o", messages)
    return [(m.role, m.content) for m in query_of(job, simulate_roles).query]


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

    assert isinstance(sent, dict)
    assert sent["temperature"] == 0.0
    assert sent["stop_sequences"] == ["END"]
    assert sent["logit_bias"] == {"42": -100.0}


def test_real_roles_are_sent_under_poes_names() -> None:
    assert said(SYSTEM, USER, ASSISTANT, USER) == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("bot", "Hello."),
        ("user", "Hi"),
    ]


def test_tool_calls_and_results_are_told_as_text() -> None:
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
    simulate_roles: int, messages: list[Message], text: str
) -> None:
    assert said(*messages, simulate_roles=simulate_roles) == [("user", text)]


@pytest.mark.parametrize("simulate_roles", [0, 1, 2])
def test_a_query_is_never_empty(simulate_roles: int) -> None:
    with pytest.raises(Fault) as caught:
        body(simulate_roles=simulate_roles)

    assert caught.value.kind is FaultKind.BAD_REQUEST
    assert not caught.value.sent
