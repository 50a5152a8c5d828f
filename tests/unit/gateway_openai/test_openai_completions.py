"""Legacy completions: what is asked, and each answer held against OpenAI's own description."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion

from contract.messages import (
    Event,
    Failed,
    FailureKind,
    File,
    Finished,
    Message,
    Options,
    Reasoning,
    Refusal,
    Replaced,
    Started,
    Text,
    Usage,
)
from gateway.openai.chat_stream import DONE
from gateway.openai.completions import CompletionAsk, parse_completion
from gateway.problems import Problem
from tests.support.openai_answers import completion_collector, completion_renderer, status_of
from tests.support.openai_schema import COMPLETION, COMPLETION_CHUNK, ERROR, assert_is

BEGUN = Started("w", 1, "bot")
CAT = File("https://p.example/cat.png", "cat.png", "image/png", "ref1")


def asking(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "prompt": "Once"} | fields).encode()


def head(**more: Any) -> dict[str, Any]:
    return {"job": "j1", **more}


def streamed(head: dict[str, Any], *fed: tuple[int, Iterable[Event]]) -> list[dict[str, Any]]:
    """The chunks of a whole stream, each of OpenAI's shape; the last ends in [DONE]."""
    renderer = completion_renderer(**head)
    payloads = [chunk for choice, events in fed for chunk in renderer.feed(choice, events)]
    assert renderer.finished
    ending = renderer.ending()
    assert ending[-1] == DONE
    chunks = [json.loads(chunk) for chunk in [*payloads, *ending[:-1]]]
    for chunk in chunks:
        assert_is(chunk, COMPLETION_CHUNK)
    return chunks


def text_of(chunks: list[dict[str, Any]], choice: int = 0) -> str:
    choices = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice]
    return "".join(c["text"] for c in choices)


def collected(head: dict[str, Any], *fed: tuple[int, Iterable[Event]]) -> dict[str, Any]:
    collector = completion_collector(**head)
    for choice, events in fed:
        collector.feed(choice, events)
    answer: dict[str, Any] = json.loads(collector.body())
    assert_is(answer, COMPLETION)
    Completion.model_validate(answer, strict=True)
    return answer


def test_a_prompt_is_a_message() -> None:
    assert parse_completion(asking()) == CompletionAsk("m", (Message("user", "Once"),))
    assert parse_completion(asking(prompt=["Once"])) == parse_completion(asking())


def test_all_that_is_honoured() -> None:
    body = asking(
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
        temperature=0.1,
        top_p=0.5,
        max_tokens=16,
        stop="\n",
        n=2,
        echo=True,
        thinking_budget=5,
    )

    asked = parse_completion(body)

    assert asked == CompletionAsk(
        "m",
        (Message("user", "Once"),),
        Options(0.1, ("\n",), top_p=0.5, max_tokens=16, extra={"thinking_budget": 5}),
        stream=True,
        choices=2,
        include_usage=True,
        continuous_usage=True,
        echo="Once",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"suffix": ""},
        {"suffix": None, "echo": None, "logprobs": None, "best_of": None},
        {"logprobs": 0, "best_of": 3, "seed": 1, "user": "u", "presence_penalty": 1},
    ],
)
def test_what_cannot_be_honoured_is_ignored(fields: dict[str, Any]) -> None:
    assert parse_completion(asking(**fields)) == parse_completion(asking())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [15, 16]}, "prompt"),
        ({"prompt": [[15, 16]]}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"suffix": "the end"}, "suffix"),
        ({"logprobs": 2}, "logprobs"),
        ({"echo": "yes"}, "echo"),
        ({"max_tokens": 0.5}, "max_tokens"),
        ({"n": 9}, "n"),
    ],
)
def test_a_mistake_is_a_400_that_names_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_completion(asking(**fields))

    assert (status_of(caught.value), caught.value.param) == (400, param)


ANSWER: list[Event] = [BEGUN, Text("upon "), Text("a time"), Finished()]


def test_a_stream_says_what_a_whole_answer_does() -> None:
    chunks = streamed(head(), (0, ANSWER))

    assert text_of(chunks) == "upon a time"
    assert [c["choices"][0]["finish_reason"] for c in chunks] == [None, "stop"]
    assert all("usage" not in chunk for chunk in chunks)
    whole = collected(head(), (0, ANSWER))
    assert whole["choices"] == [
        {"index": 0, "text": "upon a time", "logprobs": None, "finish_reason": "stop"}
    ]
    assert whole["usage"]["estimated"]


def test_an_echo_comes_once_before_all_that_is_said() -> None:
    echoing = head(echo="Once ")

    assert text_of(streamed(echoing, (0, [BEGUN]), (0, ANSWER))) == "Once upon a time"
    assert text_of(streamed(echoing, (0, [Finished()]))) == "Once "
    assert collected(echoing, (0, ANSWER))["choices"][0]["text"] == "Once upon a time"


def test_an_answer_is_cut_off_for_a_reason() -> None:
    events: list[Event] = [Text("a"), Finished("length")]

    assert streamed(head(), (0, events))[-1]["choices"][0]["finish_reason"] == "length"
    assert collected(head(), (0, events))["choices"][0]["finish_reason"] == "length"


def test_a_reason_that_completions_do_not_have_is_never_told() -> None:
    events: list[Event] = [Text("a"), Finished("tool_calls")]

    assert streamed(head(), (0, events))[-1]["choices"][0]["finish_reason"] == "stop"
    assert collected(head(), (0, events))["choices"][0]["finish_reason"] == "stop"


def test_thoughts_are_not_told_but_files_and_refusals_are() -> None:
    events: list[Event] = [
        Reasoning("hm"),
        Text("![it][re"),
        CAT,
        Replaced("See ![it][ref1]"),
        Refusal(" No."),
        Finished(),
    ]

    assert "hm" not in text_of(streamed(head(), (0, events)))
    assert text_of(streamed(head(), (0, events))).endswith(
        "See ![it](https://p.example/cat.png) No."
    )
    whole = collected(head(), (0, events))
    assert whole["choices"][0]["text"] == "See ![it](https://p.example/cat.png) No."


def test_choices_come_in_any_order_and_the_last_ends_the_stream() -> None:
    fed: list[tuple[int, list[Event]]] = [
        (1, [Text("b")]),
        (0, [Text("a"), Usage(10, 1), Finished()]),
        (0, [Text("after the end")]),
        (1, [Text("c"), Usage(10, 2), Finished("length")]),
    ]
    renderer = completion_renderer(**head(choices=2))
    for choice, events in fed[:-1]:
        renderer.feed(choice, events)
    assert not renderer.finished

    chunks = streamed(head(choices=2, include_usage=True), *fed)

    assert (text_of(chunks, 0), text_of(chunks, 1)) == ("a", "bc")
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
    }
    whole = collected(head(choices=2), *fed[:2], fed[3])
    assert [choice["text"] for choice in whole["choices"]] == ["a", "bc"]


def test_every_chunk_has_the_token_counts_if_asked() -> None:
    chunks = streamed(head(include_usage=True, continuous_usage=True), (0, ANSWER))

    assert all(chunk["usage"]["prompt_tokens"] == 7 for chunk in chunks)


def test_a_failure_ends_the_stream_and_looks_like_one() -> None:
    renderer = completion_renderer(**head(choices=2, continuous_usage=True))

    chunks = renderer.feed(0, [Text("a"), Failed(FailureKind.UPSTREAM_FAILED, "gone")])

    assert_is(json.loads(chunks[-1]), ERROR)
    assert "choices" not in json.loads(chunks[-1])
    assert renderer.finished
    assert renderer.ending() == []
    assert renderer.feed(1, [Text("b")]) == []


def test_no_chunk_is_longer_than_readers_bear() -> None:
    chunks = completion_renderer(**head()).feed(0, [Text("😀" * 20_000)])

    assert len(chunks) > 1
    assert all(len(chunk) < 64 * 1024 and chunk.isascii() for chunk in chunks)


@given(st.lists(st.integers(0, 30), max_size=6))
def test_where_the_answer_is_cut_does_not_matter(cuts: list[int]) -> None:
    text = "a ![x][ref1] b [ref [[ref1]] c"
    edges = [0, *sorted(cuts), len(text)]
    pieces: list[Event] = [Text(text[a:b]) for a, b in pairwise(edges)]

    assert text_of(streamed(head(), (0, [CAT, *pieces, Finished()]))) == text_of(
        streamed(head(), (0, [CAT, Text(text), Finished()]))
    )
