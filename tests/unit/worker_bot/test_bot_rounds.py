"""Tool calls and results in lists of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contract.messages import MediaPart, Message, ToolCall
from worker.bot.rounds import rounds_of

USER = Message("user", "What is the weather?")
ANSWER = Message("assistant", "Sunny.")


def call(call_id: str, city: str = "Paris") -> ToolCall:
    return ToolCall(call_id, "weather", f'{{"city":"{city}"}}')


def asked(*calls: ToolCall, text: str = "") -> Message:
    return Message("assistant", text, tool_calls=calls)


def result(call_id: str, text: str = "sunny") -> Message:
    return Message("tool", text, tool_call_id=call_id)


def listed(*messages: Message) -> tuple[list[str], list[str], tuple[Message, ...]]:
    rounds = rounds_of(messages)
    calls = [f"{c.id} {c.function.name}{c.function.arguments}" for c in rounds.calls]
    results = [f"{r.tool_call_id} {r.name}: {r.content}" for r in rounds.results]
    return calls, results, rounds.messages


def test_several_rounds_go_into_the_lists_in_order() -> None:
    assert listed(
        USER,
        asked(call("a"), call("b", "Rome")),
        result("a"),
        result("b", "rainy"),
        asked(call("c", "Oslo")),
        result("c", "snow"),
    ) == (
        ['a weather{"city":"Paris"}', 'b weather{"city":"Rome"}', 'c weather{"city":"Oslo"}'],
        ["a weather: sunny", "b weather: rainy", "c weather: snow"],
        (USER,),
    )


def test_what_was_said_beside_a_call_stays() -> None:
    _, _, left = listed(USER, asked(call("a"), text="Let me see."), result("a"), ANSWER, USER)

    assert left == (USER, Message("assistant", "Let me see."), ANSWER, USER)


def test_a_call_without_a_result_stays_where_it_is() -> None:
    calls, results, left = listed(USER, asked(call("a"), call("b")), result("b"))

    assert [each.split()[0] for each in calls] == ["b"]
    assert [each.split()[0] for each in results] == ["b"]
    assert left == (USER, asked(call("a")))


def test_a_result_without_a_call_stays_where_it_is() -> None:
    assert listed(USER, result("a")) == ([], [], (USER, result("a")))


def test_a_call_is_answered_once() -> None:
    _, results, left = listed(asked(call("a")), result("a"), result("a", "again"))

    assert results == ["a weather: sunny"]
    assert left == (result("a", "again"),)


def test_a_result_with_an_attachment_stays_with_its_call() -> None:
    photo = Message("tool", (MediaPart("image", "https://x/y.png"),), tool_call_id="a")

    assert listed(asked(call("a")), photo) == ([], [], (asked(call("a")), photo))


def test_ids_that_begin_anew_in_each_round_are_told_apart() -> None:
    calls, results, left = listed(
        asked(call("call_0")),
        result("call_0"),
        asked(call("call_0", "Rome")),
        result("call_0", "wet"),
    )

    assert [each.split()[0] for each in calls] == ["call_0", "call_0_1"]
    assert results == ["call_0 weather: sunny", "call_0_1 weather: wet"]
    assert left == ()


IDS = st.sampled_from(["a", "b", "a_1"])
MESSAGES = st.lists(
    st.one_of(
        st.just(USER),
        st.builds(result, IDS),
        st.lists(st.builds(call, IDS), min_size=1, max_size=3).map(lambda calls: asked(*calls)),
    ),
    max_size=12,
)


@given(MESSAGES)
def test_nothing_is_lost_or_doubled_and_all_is_paired(messages: list[Message]) -> None:
    rounds = rounds_of(messages)

    ids = [call.id for call in rounds.calls]
    assert len(ids) == len(set(ids))
    assert ids == [result.tool_call_id for result in rounds.results]
    calls = sum(len(m.tool_calls) for m in messages)
    assert calls == len(ids) + sum(len(m.tool_calls) for m in rounds.messages)
    results = sum(m.role == "tool" for m in messages)
    assert results == len(ids) + sum(m.role == "tool" for m in rounds.messages)
    assert [m for m in rounds.messages if m.role == "user"] == [USER] * messages.count(USER)
