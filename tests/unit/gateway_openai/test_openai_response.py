import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

from contract.messages import (
    Event,
    Failed,
    FailureKind,
    File,
    Finished,
    Reasoning,
    Refusal,
    Replaced,
    Started,
    Text,
    ToolCallDelta,
    Usage,
)
from gateway.openai.dialect import OPENAI
from tests.support.openai_answers import chat_collector, chat_renderer
from tests.unit.gateway_openai.openai_wire import chunks, content, deltas, payloads

HEAD = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m"'
    b',"choices":'
)
ROLE = HEAD + b'[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
STOP = HEAD + b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
STARTED = Started("w", 1, "Bot")
CAT = File("https://p.example/cat.png", "cat.png", "image/png", "ref1")


keep_alive = OPENAI.keep_alive


class Written:
    """A renderer, and what a stream makes of its chunks."""

    def __init__(self, **asked: Any) -> None:
        self._renderer = chat_renderer(**asked)

    @property
    def finished(self) -> bool:
        return self._renderer.finished

    def opening(self) -> list[str]:
        return self._renderer.opening()

    def feed(self, events: Iterable[Event], choice: int = 0) -> bytes:
        before = self.finished
        chunks = self._renderer.feed(choice, events)
        if self.finished and not before:
            chunks += self._renderer.ending()
        return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode("ascii")


def renderer(**asked: Any) -> Written:
    return Written(**asked)


def stream(*events: Event, **asked: Any) -> bytes:
    return renderer(**asked).feed(events)


def body(*events: Event, **asked: Any) -> bytes:
    collector = chat_collector(**asked)
    collector.feed(0, events)
    return collector.body()


def collect(*events: Event, **asked: Any) -> dict[str, Any]:
    completion: dict[str, Any] = json.loads(body(*events, **asked))
    ChatCompletion.model_validate(completion, strict=True)
    return completion


def said(*events: Event) -> dict[str, Any]:
    message: dict[str, Any] = collect(*events)["choices"][0]["message"]
    return message


def client_of(body: bytes, content_type: str) -> OpenAI:
    answer = httpx.Response(200, content=body, headers={"content-type": content_type})
    transport = httpx.MockTransport(lambda _: answer)
    return OpenAI(
        api_key="k",
        base_url="http://gateway/v1",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
        _strict_response_validation=True,
    )


def test_a_stream_is_written_byte_for_byte() -> None:
    written = renderer()

    assert written.feed([STARTED]) == b""
    assert written.feed([Text("H\u00e9 \U0001f600\n")]) == (
        ROLE + HEAD + b'[{"index":0,"delta":{"content":"H\\u00e9 \\ud83d\\ude00\\n"}'
        b',"finish_reason":null}]}\n\n'
    )
    assert written.feed([Reasoning("hm")]) == (
        HEAD + b'[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":null}]}\n\n'
    )
    assert not written.finished
    assert written.feed([Finished()]) == STOP
    assert written.finished


def test_an_empty_answer_still_has_a_role_and_an_end() -> None:
    assert stream(Finished()) == ROLE + STOP


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_the_reason_comes_once_and_alone(reason: Any) -> None:
    *before, last = chunks(stream(Text("a"), Finished(reason)))

    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": reason}]
    assert [c["choices"][0]["finish_reason"] for c in before] == [None, None]


def test_the_usage_comes_last_if_asked_for() -> None:
    written = stream(Text("a" * 8), Finished(), include_usage=True)

    *_, usage, done = payloads(written)
    assert usage == HEAD.decode().removeprefix("data: ") + (
        '[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"estimated":true}}'
    )
    assert done == "[DONE]"
    assert len(chunks(written)) == 4


def test_the_upstreams_usage_is_taken_over_the_estimate() -> None:
    events = [Text("a" * 8), Usage(100, 20), Finished()]
    expected = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}

    assert chunks(stream(*events, include_usage=True))[-1]["usage"] == expected
    assert collect(*events)["usage"] == expected


def test_usage_is_not_sent_unasked() -> None:
    assert all(chunk["choices"] for chunk in chunks(stream(Text("a"), Usage(1, 2), Finished())))


def test_what_came_together_goes_together() -> None:
    written = stream(Text("a"), Text("b"), Reasoning("c"), Reasoning("d"), Text("e"))

    assert deltas(written)[1:] == [
        {"content": "ab"},
        {"reasoning_content": "cd"},
        {"content": "e"},
    ]


TOOL_CALLS = [
    ToolCallDelta(0, "call_a", "f"),
    ToolCallDelta(0, arguments='{"x":'),
    ToolCallDelta(1, "", "g"),
    ToolCallDelta(0, arguments="1}"),
]


def test_a_tool_call_names_itself_once_and_always_has_arguments() -> None:
    written = stream(*TOOL_CALLS, Finished("stop"))

    fragments = [call for delta in deltas(written) for call in delta.get("tool_calls", ())]
    assert fragments == [
        {
            "index": 0,
            "id": "call_a",
            "type": "function",
            "function": {"name": "f", "arguments": ""},
        },
        {"index": 0, "function": {"arguments": '{"x":'}},
        {
            "index": 1,
            "id": "call_1_1",
            "type": "function",
            "function": {"name": "g", "arguments": ""},
        },
        {"index": 0, "function": {"arguments": "1}"}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]
    assert chunks(written)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_collected_tool_calls_are_whole() -> None:
    completion = collect(*TOOL_CALLS, Finished("stop"))

    choice = completion["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {
                "id": "call_a",
                "type": "function",
                "function": {"name": "f", "arguments": '{"x":1}'},
            },
            {"id": "call_1_1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_a_reason_of_tool_calls_without_any_is_a_stop() -> None:
    assert stream(Finished("tool_calls")) == ROLE + STOP


def test_a_late_failure_is_an_error_without_choices_and_nothing_after_it() -> None:
    failing = renderer(include_usage=True)
    failing.feed([Text("a")])

    written = failing.feed([Failed(FailureKind.INTERRUPTED, "cut", charged=True), Text("b")])

    assert written == (
        b'data: {"error":{"message":"cut","type":"server_error","param":null'
        b',"code":"interrupted"}}\n\n'
    )
    assert failing.finished
    assert failing.feed([Finished()]) == b""


def test_a_failure_before_any_text_is_nothing_but_the_error() -> None:
    written = stream(STARTED, Failed(FailureKind.UPSTREAM_EMPTY, "none"))

    assert [list(json.loads(p)) for p in payloads(written)] == [["error"]]


def test_a_failure_loses_no_text_that_was_held_back() -> None:
    written = stream(CAT, Text("see [re"), Failed(FailureKind.INTERRUPTED, "cut"))

    assert content(written) == "see [re\n\n![cat.png](https://p.example/cat.png)"
    assert "error" in chunks(written)[-1]


def test_replaced_text_goes_on_where_it_can_and_begins_anew_where_it_must() -> None:
    events: list[Event] = [Text("Think"), Replaced("Thinking"), Replaced("Hi"), Text("!")]

    assert content(stream(*events, Finished())) == "Thinking\n\nHi!"
    assert said(*events, Finished())["content"] == "Hi!"


def test_a_file_is_shown_where_the_text_refers_to_it() -> None:
    events = [CAT, Text("A ![cat][r"), Text("ef1]."), Finished()]
    expected = "A ![cat](https://p.example/cat.png)."

    assert content(stream(*events)) == expected
    assert said(*events)["content"] == expected


def test_a_file_that_comes_after_its_reference_is_shown_at_the_end() -> None:
    events = [Text("A ![cat][ref1]."), CAT, Finished()]

    assert content(stream(*events)) == "A ![cat][ref1].\n\n![cat.png](https://p.example/cat.png)"
    assert said(*events)["content"] == "A ![cat](https://p.example/cat.png)."


def test_a_completion_is_written_byte_for_byte() -> None:
    collector = chat_collector()
    collector.feed(0, [STARTED, Reasoning("hm"), Text("H\u00e9")])
    collector.feed(0, [Finished("length")])

    assert collector.body() == (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m"'
        b',"choices":[{"index":0,"message":{"role":"assistant","content":"H\xc3\xa9"'
        b',"refusal":null,"reasoning_content":"hm"},"logprobs":null,"finish_reason":"length"}]'
        b',"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"estimated":true}}'
    )


@pytest.mark.parametrize("position", [None, 0, 12])
@pytest.mark.parametrize("eta", [None, 0.0, 33.2])
def test_a_comment_keeps_the_connection_open(position: int | None, eta: float | None) -> None:
    comment = keep_alive(position, eta).decode()

    assert comment.startswith(": keep-alive")
    assert comment.endswith("\n\n")
    assert ("queued" in comment) == (position is not None or eta is not None)


def test_comments_are_written_byte_for_byte() -> None:
    assert keep_alive() == b": keep-alive\n\n"
    assert keep_alive(12, 33.6) == b": keep-alive queued position=12 eta=34s\n\n"


@given(
    st.sampled_from([Text, Reasoning, lambda text: ToolCallDelta(0, "1", "f", text)]),
    st.text(st.sampled_from('aé你😀"\n\x00\\'), min_size=1, max_size=50),
    st.integers(1, 4_000),
)
@example(Text, "😀", 20_000)
def test_no_line_reaches_64_kib_and_no_character_is_cut(make: Any, text: str, times: int) -> None:
    whole = text * times
    written = stream(make(whole), Finished(), job="0" * 32, created=1_700_000_000, model="😀" * 256)

    assert max(map(len, written.split(b"\n"))) < 65_536
    added = [
        d.get("content", "")
        + d.get("reasoning_content", "")
        + "".join(call["function"]["arguments"] for call in d.get("tool_calls", ()))
        for d in deltas(written)
    ]
    assert "".join(added) == whole
    assert all(piece.encode() is not None for piece in added)


TEXTS = st.text(max_size=6)
SAID = st.builds(Text, TEXTS) | st.builds(Reasoning, TEXTS) | st.just(STARTED)
ANY = (
    SAID
    | st.builds(Replaced, TEXTS)
    | st.builds(ToolCallDelta, st.integers(0, 2), st.just("id"), st.just("f"), TEXTS)
    | st.just(CAT)
    | st.builds(Usage, st.integers(0, 9), st.integers(0, 9))
)


@given(st.lists(ANY, max_size=12), st.booleans())
def test_whatever_happens_the_stream_is_well_formed(events: list[Event], usage: bool) -> None:
    written = stream(*events, Finished(), include_usage=usage)

    found = chunks(written)
    choices = [chunk["choices"][0] for chunk in found if chunk["choices"]]
    assert payloads(written)[-1] == "[DONE]"
    assert payloads(written).count("[DONE]") == 1
    assert ["role" in choice["delta"] for choice in choices].index(True) == 0
    assert sum("role" in choice["delta"] for choice in choices) == 1
    assert all(choice["finish_reason"] is None for choice in choices[:-1])
    assert choices[-1]["finish_reason"] in ("stop", "tool_calls")
    assert [chunk["choices"] == [] for chunk in found].count(True) == usage
    collect(*events, Finished())


@given(st.lists(ANY, max_size=12), st.lists(st.integers(0, 12), max_size=5))
def test_how_events_are_batched_does_not_matter(events: list[Event], cuts: list[int]) -> None:
    whole = [*events, Finished()]
    edges = [0, *sorted(cuts), len(whole)]
    batched = renderer()

    written = b"".join(batched.feed(whole[a:b]) for a, b in pairwise(edges))

    assert content(written) == content(stream(*whole))
    assert batched.finished


@given(st.lists(SAID | st.just(CAT), max_size=12))
def test_a_stream_adds_up_to_the_completion(events: list[Event]) -> None:
    files_first = sorted(events, key=lambda event: not isinstance(event, File))

    message = said(*files_first, Finished())

    written = stream(*files_first, Finished())
    assert content(written) == message["content"]
    thoughts = "".join(d.get("reasoning_content", "") for d in deltas(written))
    assert thoughts == message.get("reasoning_content", "")


def test_openais_client_reads_a_stream_with_its_strictest_helper() -> None:
    written = keep_alive(3, 2) + stream(
        Reasoning("hm"), Text("Hé"), *TOOL_CALLS, Finished(), include_usage=True
    )

    with client_of(written, "text/event-stream").chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "Hi"}]
    ) as events:
        completion = events.get_final_completion()

    message = completion.choices[0].message
    assert message.role == "assistant"
    assert message.content == "Hé"
    assert message.tool_calls is not None
    assert [call.function.name for call in message.tool_calls] == ["f", "g"]
    assert [call.function.arguments for call in message.tool_calls] == ['{"x":1}', "{}"]
    assert completion.usage is not None


def test_openais_client_raises_a_late_failure() -> None:
    written = stream(Text("a"), Failed(FailureKind.INTERRUPTED, "the worker died"))

    answer = client_of(written, "text/event-stream").chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
    )

    with pytest.raises(APIError, match="the worker died"):
        list(answer)


def test_openais_client_reads_a_completion() -> None:
    answer = client_of(body(Text("Hé"), Finished()), "application/json").chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hi"}]
    )

    assert answer.choices[0].message.content == "Hé"


def test_each_choice_has_its_own_text_and_end_behind_the_roles_of_all() -> None:
    written = renderer(choices=2, include_usage=True)

    second = written.feed([Text("two"), Finished()], 1)
    first = written.feed([Text("one")], 0)
    assert not written.finished
    last = written.feed([Finished("length")], 0)

    told = [
        (choice["index"], choice["delta"].get("content"), choice["finish_reason"])
        for chunk in chunks(second + first + last)
        for choice in chunk["choices"]
    ]
    assert told == [
        *((1, "two", None), (1, None, "stop")),
        *((0, "one", None), (0, None, "length")),
    ]
    assert [deltas(f"data: {chunk}\n\n".encode()) for chunk in written.opening()] == [
        [{"role": "assistant", "content": ""}]
    ] * 2
    assert payloads(last)[-1] == "[DONE]"
    assert chunks(last)[-1]["usage"]["completion_tokens"] == 2


def test_one_choice_needs_no_opening() -> None:
    assert renderer().opening() == []


def test_collected_choices_are_in_order_and_count_their_prompt_once() -> None:
    collector = chat_collector(choices=2)
    collector.feed(1, [Text("two"), Usage(9, 2), Finished()])
    collector.feed(0, [ToolCallDelta(0, "", "f"), Usage(9, 3), Finished()])

    completion = ChatCompletion.model_validate_json(collector.body(), strict=True)

    assert [choice.index for choice in completion.choices] == [0, 1]
    assert [choice.finish_reason for choice in completion.choices] == ["tool_calls", "stop"]
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (9, 5)


def test_a_failed_choice_ends_the_whole_stream() -> None:
    written = renderer(choices=2)
    written.feed([Text("one")], 0)

    last = written.feed([Failed(FailureKind.UPSTREAM_FAILED, "broken")], 1)

    assert [list(chunk) for chunk in chunks(last)] == [["error"]]
    assert written.finished
    assert written.feed([Text("more"), Finished()], 0) == b""


def test_every_chunk_counts_if_asked_for() -> None:
    written = stream(Text("a" * 8), Finished(), include_usage=True, continuous_usage=True)

    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks(written)]
    assert counts == [2, 2, 2, 2]


def test_a_refusal_is_told_in_its_own_field() -> None:
    events = [Refusal("It did not match."), Finished()]

    assert deltas(stream(*events))[1:] == [{"refusal": "It did not match."}, {}]
    assert said(*events) == {
        "role": "assistant",
        "content": None,
        "refusal": "It did not match.",
    }


THOUGHT = [Reasoning("hm"), Reasoning("m"), Text("So"), Text(" be it."), Finished()]


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        pytest.param("inline", "<think>\nhmm\n</think>\n\nSo be it.", id="inline"),
        pytest.param("drop", "So be it.", id="drop"),
    ],
)
def test_thoughts_go_where_the_model_is_set_to_put_them(reasoning: Any, expected: str) -> None:
    written = stream(*THOUGHT, reasoning=reasoning)

    assert content(written) == expected
    message = collect(*THOUGHT, reasoning=reasoning)["choices"][0]["message"]
    assert message["content"] == expected
    assert "reasoning_content" not in message


def test_thoughts_without_an_answer_are_closed_all_the_same() -> None:
    assert content(stream(Reasoning("hm"), Finished(), reasoning="inline")) == (
        "<think>\nhm\n</think>\n\n"
    )


def test_a_client_from_before_tools_is_told_one_function_call() -> None:
    written = stream(*TOOL_CALLS, Finished("stop"), legacy_calls=True)

    assert deltas(written)[1:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"x":'}},
        {"function_call": {"arguments": "1}"}},
        {},
    ]
    assert chunks(written)[-1]["choices"][0]["finish_reason"] == "function_call"
    choice = collect(*TOOL_CALLS, Finished("stop"), legacy_calls=True)["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert "tool_calls" not in choice["message"]


def test_calls_of_a_stream_are_numbered_from_0_whatever_their_events_say() -> None:
    renderer = chat_renderer(0, created=1)
    events = [
        ToolCallDelta(3, "a", "f", "{}"),
        ToolCallDelta(1, "", "g"),
        ToolCallDelta(1, arguments="{}"),
        Finished("tool_calls"),
    ]

    chunks = [json.loads(chunk) for chunk in renderer.feed(0, events)]

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert [call["index"] for call in calls] == [0, 0, 1, 1]
    assert len({call["id"] for call in calls if "id" in call}) == 2
