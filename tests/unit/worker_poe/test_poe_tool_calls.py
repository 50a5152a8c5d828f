"""Tool calls out of every stream that upstreams make of them: whole and right, or a fault."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from contract.messages import Event, Finished, ToolCallDelta
from tests.support.openai_answers import chat_renderer
from worker.bot.reader import BotReader
from worker.openai.reader import ChatReader
from worker.poe.faults import FaultKind
from worker.poe.sse import ServerSentEvent

TOOLS = ("look", "look_up", "go")
STRICT = [{"type": "function", "function": {"name": name, "strict": True}} for name in TOOLS]
"""Tools whose arguments OpenAI's helper decodes as soon as it takes a call for whole."""

ABSENT: Any = object()

Calls = list[tuple[str, str, str]]


def part(
    name: Any = ABSENT, arguments: Any = ABSENT, *, call_id: Any = ABSENT, index: Any = ABSENT
) -> dict[str, Any]:
    """A fragment of a call that has only what is given."""
    function = {"name": name, "arguments": arguments}
    call = {"id": call_id, "index": index}
    present = {key: value for key, value in function.items() if value is not ABSENT}
    return {k: v for k, v in call.items() if v is not ABSENT} | {"function": present}


def chunk(*parts: Any, reason: Any = None, **fields: Any) -> dict[str, Any]:
    delta = fields | ({"tool_calls": list(parts)} if parts else {})
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def each(*parts: Any) -> list[dict[str, Any]]:
    """Every fragment in a chunk of its own."""
    return [*(chunk(one) for one in parts), chunk(reason="tool_calls")]


def events_of(chunks: list[dict[str, Any]], kind: str) -> tuple[list[Event], FaultKind | None]:
    if kind == "bot":
        stream: BotReader | ChatReader = BotReader(tools=TOOLS)
        name, done = "json", ServerSentEvent("done", b"{}")
    else:
        stream = ChatReader(tools=TOOLS)
        name, done = "message", ServerSentEvent("message", b"[DONE]")
    bodies = [ServerSentEvent(name, msgspec.json.encode(one)) for one in chunks]
    events = [event for body in [*bodies, done] for event in stream.feed([body])]
    return events, stream.fault.kind if stream.fault else None


def calls_of(events: list[Event]) -> Calls:
    """The calls as a client puts them together, which must number them densely and in order."""
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    calls: Calls = []
    for delta in deltas:
        if delta.index == len(calls):
            calls.append((delta.id, delta.name, delta.arguments))
        else:
            assert delta.index == len(calls) - 1, "a call goes on behind another's beginning"
            assert not delta.id
            assert not delta.name
            call_id, name, arguments = calls[-1]
            calls[-1] = (call_id, name, arguments + delta.arguments)
    assert all(name for _, name, _ in calls)
    return calls


A, B = '{"at": "Pa}ris"}', '{"at": ["\\"{", 2]}'
LOOK, GO = ("a", "look", A), ("b", "go", B)


@pytest.mark.parametrize("kind", ["bot", "chat"])
@pytest.mark.parametrize(
    ("chunks", "calls"),
    [
        pytest.param(
            each(part("look", A, call_id="a", index=0), part("go", B, call_id="b", index=0)),
            [LOOK, GO],
            id="one index for two calls",
        ),
        pytest.param(
            each(part("look", A), part("go", B)),
            [("", "look", A), ("", "go", B)],
            id="neither index nor id",
        ),
        pytest.param(
            each(part("look", A), part("look", B)),
            [("", "look", A), ("", "look", B)],
            id="the same function twice, neither index nor id",
        ),
        pytest.param(
            each(
                part("look", "", index=0),
                part(arguments=A, index=0),
                part("look", "", index=0),
                part(arguments=B, index=0),
            ),
            [("", "look", A), ("", "look", B)],
            id="the same function twice, in fragments without ids",
        ),
        pytest.param(
            each(part("look", A[:5]), part(arguments=A[5:]), part("go"), part(arguments=B)),
            [("", "look", A), ("", "go", B)],
            id="fragments without anything",
        ),
        pytest.param(
            [chunk(part("look", A, call_id="a"), part("go", B, call_id="b"), reason="tool_calls")],
            [LOOK, GO],
            id="two in a chunk without index",
        ),
        pytest.param(
            [
                chunk(part("look", "", call_id="a"), part("go", "", call_id="b")),
                chunk(part(arguments=A), part(arguments=B), reason="stop"),
            ],
            [LOOK, GO],
            id="two in each chunk without index",
        ),
        *(
            pytest.param(
                each(
                    part("look", A[:5], call_id="a", index=index),
                    part(arguments=A[5:], index=index),
                ),
                [LOOK],
                id=f"index {index!r}",
            )
            for index in (0, 1, 7, -1, 10**30, "0", "1", "x", 1.0, None, True, [], {})
        ),
        pytest.param(
            each(part("look", A[:4], call_id="a", index="1"), part(arguments=A[4:], index=1)),
            [LOOK],
            id="an index that is a number and a string",
        ),
        pytest.param(
            each(
                part("look", "", call_id="a", index=5),
                part("go", "", call_id="b", index=2),
                part(arguments=B[:3], index=2),
                part(arguments=A[:3], index=5),
                part(arguments=B[3:], index=2),
                part(arguments=A[3:], index=5),
            ),
            [LOOK, GO],
            id="interleaved, by index, out of order",
        ),
        pytest.param(
            each(
                part("look", "", call_id="a"),
                part("go", "", call_id="b"),
                part(arguments=A[:3], call_id="a"),
                part(arguments=B[:3], call_id="b"),
                part(arguments=A[3:], call_id="a"),
                part(arguments=B[3:], call_id="b"),
            ),
            [LOOK, GO],
            id="interleaved, by id",
        ),
        pytest.param(
            each(
                part("look", A[:4], call_id="a", index=0),
                part("look", A[4:], call_id="a", index=0),
                part("look", "", call_id="a", index=0),
            ),
            [LOOK],
            id="id and name in each fragment",
        ),
        pytest.param(
            each(part("look", A[:4]), part("look", A[4:]), part("look", "")),
            [("", "look", A)],
            id="the name in each fragment",
        ),
        pytest.param(
            each(
                part("look", A[:4], call_id="a", index=0),
                part("look", A[4:9], call_id="x", index=0),
                part(arguments=A[9:], call_id="y", index=0),
            ),
            [LOOK],
            id="an id made up for each fragment",
        ),
        pytest.param(
            each(part("look", A, call_id="a", index=0), part("look", A, call_id="a", index=0)),
            [LOOK],
            id="the whole call once more",
        ),
        pytest.param(
            each(part("look", A[:4], call_id="a"), part(arguments=A[4:]), part(arguments=A)),
            [LOOK],
            id="the whole arguments once more",
        ),
        pytest.param(
            each(part("look", A, call_id="a", index=0), part("go", B, call_id="a", index=1)),
            [LOOK, ("", "go", B)],
            id="one id for two calls",
        ),
        pytest.param(
            each(part("look", A, call_id="a", index=0), part("look", B, call_id="a", index=0)),
            [LOOK, ("", "look", B)],
            id="one id and one index for two calls of a function",
        ),
        pytest.param(
            each(part(call_id="a", index=0), part("look", index=0), part(arguments=A, index=0)),
            [LOOK],
            id="the name behind the id",
        ),
        pytest.param(
            each(part("look", A[:4], index=0), part(arguments=A[4:], call_id="a", index=0)),
            [("", "look", A)],
            id="the id behind the name",
        ),
        pytest.param(
            each(part("look", "", call_id="a"), part("_up", ""), part(arguments=A)),
            [("a", "look_up", A)],
            id="a name in parts, of which one is a tool's",
        ),
        pytest.param(
            each(part("lo", index=0), part("ok", index=0), part("go", B, index=1)),
            [("", "look", ""), ("", "go", B)],
            id="a name in parts, and no arguments",
        ),
        pytest.param(
            each(part("look", call_id="a"), part("go", call_id="b")),
            [("a", "look", ""), ("b", "go", "")],
            id="no arguments at all",
        ),
        *(
            pytest.param(
                each(part("look", arguments, call_id="a")), [("a", "look", "")], id=f"{arguments!r}"
            )
            for arguments in (None, "", " \n")
        ),
        pytest.param(
            each(
                part("look", {"at": "Paris", "n": [1, None]}, call_id="a"),
                part("go", {}, call_id="b"),
            ),
            [("a", "look", '{"at":"Paris","n":[1,null]}'), ("b", "go", "{}")],
            id="objects",
        ),
        pytest.param(
            each(
                part("look", f" {A}\n", call_id="a"),
                part(arguments=" \n"),
                part("go", B, call_id="b"),
            ),
            [("a", "look", f" {A}\n"), GO],
            id="white space around them",
        ),
        pytest.param(
            each({"id": "a", "name": "look", "arguments": A, "function": None}),
            [LOOK],
            id="no function around name and arguments",
        ),
        *(
            pytest.param(each({"id": "a", "function": {"name": "look", word: A}}), [LOOK], id=word)
            for word in ("parameters", "input", "args")
        ),
        pytest.param(
            each({"id": "a", "type": "tool_use", "name": "look", "input": {"at": 1}}),
            [("a", "look", '{"at":1}')],
            id="a call of Anthropic's",
        ),
        pytest.param(
            each({"id": "a", "function": {"name": "look", "arguments": ""}, "input": A}),
            [LOOK],
            id="arguments beside the function",
        ),
        pytest.param(
            [chunk(tool_calls=part("look", A, call_id="a")), chunk(reason="stop")],
            [LOOK],
            id="a call without a list",
        ),
        pytest.param(
            each(
                None,
                part("look", A, call_id="a"),
                {},
                part(index=3),
                part(call_id=None, arguments=""),
            ),
            [LOOK],
            id="nulls and fragments of nothing",
        ),
        pytest.param(
            each(part("look", A, call_id=7)), [("7", "look", A)], id="an id that is a number"
        ),
        pytest.param(
            [
                chunk(function_call={"name": "look", "arguments": ""}),
                chunk(function_call={"arguments": A[:6]}),
                chunk(function_call={"name": None, "arguments": A[6:]}),
                chunk(function_call=None, reason="function_call"),
            ],
            [("", "look", A)],
            id="a function call",
        ),
        pytest.param(
            [
                {
                    "choices": [
                        {
                            "message": {
                                "tool_calls": [
                                    part("look", A, call_id="a", index=0),
                                    part("look", A, index=0),
                                    part("go", None, index=0),
                                    part("go", {}, index=0),
                                ]
                            },
                            "finish_reason": "stop",
                        }
                    ]
                }
            ],
            [LOOK, ("", "look", A), ("", "go", ""), ("", "go", "{}")],
            id="a whole answer, in which each is one",
        ),
        pytest.param(
            [
                {
                    "choices": [
                        {
                            "message": {"function_call": {"name": "look", "arguments": A}},
                            "finish_reason": "function_call",
                        }
                    ]
                }
            ],
            [("", "look", A)],
            id="a whole answer with a function call",
        ),
    ],
)
def test_calls_are_what_the_model_wrote(
    chunks: list[dict[str, Any]], calls: Calls, kind: str
) -> None:
    events, fault = events_of(chunks, kind)

    assert fault is None
    assert calls_of(events) == calls
    assert events[-1] == Finished("tool_calls")


@pytest.mark.parametrize("kind", ["bot", "chat"])
@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(each(part(arguments=A, index=0)), id="no name"),
        pytest.param(each(part(arguments=A, call_id="a", index=0)), id="an id and no name"),
        pytest.param(each(part(call_id="a", index=0)), id="nothing but an id"),
        pytest.param(
            each(part("look", A, call_id="a", index=0), part(arguments=B, index=1)),
            id="arguments under an index never begun",
        ),
        pytest.param(each(part("look", A + B, call_id="a")), id="two objects in a fragment"),
        pytest.param(
            each(part("look", A, call_id="a"), part(arguments=B)), id="two objects, one name"
        ),
        pytest.param(
            each(part("look", A, call_id="a"), part(arguments="}")), id="too many brackets"
        ),
        pytest.param(each(part("look", A[:-1], call_id="a")), id="arguments without an end"),
        pytest.param(
            each(part("look", A[:-1], call_id="a"), part("go", B, call_id="b")),
            id="one without an end",
        ),
        *(
            pytest.param(each(part("look", arguments, call_id="a")), id=f"arguments {arguments!r}")
            for arguments in (5, 0, 1.5, True, False, [], [1], [{"at": 1}])
        ),
        *(
            pytest.param(each(part(name, A, call_id="a")), id=f"name {name!r}")
            for name in (5, True, [], ["look"], {"name": "look"}, "", None)
        ),
        *(pytest.param([chunk(tool_calls=calls)], id=f"calls {calls!r}") for calls in ("x", [5])),
        pytest.param([chunk(function_call="look", reason="stop")], id="a function call of words"),
        pytest.param([chunk(reason="tool_calls")], id="announced calls and nothing else"),
    ],
)
def test_what_is_no_call_fails_the_answer(chunks: list[dict[str, Any]], kind: str) -> None:
    events, fault = events_of(chunks, kind)

    assert fault in (FaultKind.PROTOCOL, FaultKind.EMPTY)
    assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize("kind", ["bot", "chat"])
def test_a_call_that_an_answer_admits_to_have_cut_is_passed_on(kind: str) -> None:
    events, fault = events_of([chunk(part("look", A[:5], call_id="a"), reason="length")], kind)

    assert fault is None
    assert calls_of(events) == [("a", "look", A[:5])]
    assert events[-1] == Finished("length")


@pytest.mark.parametrize("kind", ["bot", "chat"])
def test_calls_that_were_announced_and_did_not_come_are_no_reason_beside_text(kind: str) -> None:
    events, fault = events_of([chunk(content="No."), chunk(reason="tool_calls")], kind)

    assert fault is None
    assert events[-1] == Finished("stop")


@pytest.mark.parametrize("kind", ["bot", "chat"])
def test_half_a_character_waits_for_the_other_in_arguments_of_its_own_call(kind: str) -> None:
    def halves(arguments: str) -> str:
        # As JSON, for half a character cannot be encoded.
        return f'{{"choices":[{{"delta":{{"tool_calls":[{arguments}]}}}}]}}'

    bodies = [
        halves('{"index":0,"id":"a\\ud83d","function":{"name":"look\\ude00","arguments":""}}'),
        halves('{"index":1,"id":"b","function":{"name":"go","arguments":{"c":"\\ud83d"}}}'),
        halves('{"index":0,"function":{"arguments":"{\\"a\\":\\"\\ud83d"}}'),
        halves('{"index":0,"function":{"arguments":"\\ude00\\ud83d\\"}"}}'),
    ]
    stream = BotReader() if kind == "bot" else ChatReader()
    name, done = ("json", "done") if kind == "bot" else ("message", "[DONE]")

    events = stream.feed([ServerSentEvent(name, body.encode()) for body in bodies])
    events += stream.feed([ServerSentEvent("done" if kind == "bot" else name, done.encode())])

    assert stream.fault is None
    assert calls_of(events) == [
        ("a\ufffd", "look\ufffd", '{"a":"😀\ufffd"}'),
        ("b", "go", '{"c":"\ufffd"}'),
    ]


def accepted(events: list[Event], tools: Any = ()) -> Calls:
    """The calls as OpenAI's own helper understands the chunks that we make of the events."""
    renderer = chat_renderer(0, job="job", created=1, model="model")
    state = ChatCompletionStreamState(input_tools=tools)
    for event in events:
        for body in renderer.feed(0, [event]):
            state.handle_chunk(ChatCompletionChunk.model_validate_json(body, strict=True))
    message = state.current_completion_snapshot.choices[0].message
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    assert len({call.id for call in calls}) == len(calls)
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


FRAGMENTS = st.builds(
    part,
    st.sampled_from([ABSENT, None, "look", "go", "look_"]),
    st.sampled_from([ABSENT, None, "", "{", "}", '"a":', '"}"', "1", A, B, " "]),
    call_id=st.sampled_from([ABSENT, None, "a", "b"]),
    index=st.sampled_from([ABSENT, None, 0, 1, 4]),
)


@given(
    st.lists(st.lists(FRAGMENTS, min_size=1, max_size=3).map(lambda p: chunk(*p)), max_size=6),
    st.sampled_from(["tool_calls", "stop", "length", None]),
)
def test_openais_own_helper_accepts_every_tool_stream(
    chunks: list[dict[str, Any]], reason: str | None
) -> None:
    events, fault = events_of([*chunks, chunk(reason=reason, content="So.")], "chat")
    given_calls = calls_of(events)
    if fault is not None:
        return

    calls = accepted(events)

    assert [call[1:] for call in calls] == [(name, args or "{}") for _, name, args in given_calls]
    assert all(
        told in ("", heard) for (told, *_), (heard, *_) in zip(given_calls, calls, strict=True)
    )


@given(
    st.permutations([(call, place) for call in (0, 1, 2) for place in range(3)]),
)
def test_calls_come_out_whole_however_their_fragments_are_mixed(
    mixed: list[tuple[int, int]],
) -> None:
    # given: three calls whose fragments keep their order, each call's own
    names, seen = ("look", "go", "look_up"), [0, 0, 0]
    pieces = ['{"n":', " 5", "}"]
    fragments = []
    for call, _ in mixed:
        place = seen[call]
        seen[call] += 1
        begin = {"name": names[call], "call_id": f"c{call}"} if place == 0 else {}
        fragments.append(part(arguments=pieces[place], index=call, **begin))

    # when
    order = list(dict.fromkeys(call for call, _ in mixed))

    events, fault = events_of(each(*fragments), "chat")

    # then
    assert fault is None
    assert calls_of(events) == [(f"c{call}", names[call], '{"n": 5}') for call in order]
    indices = [event.index for event in events if isinstance(event, ToolCallDelta)]
    assert all(before <= after for before, after in pairwise(indices))
    assert accepted(events, STRICT) == calls_of(events)
