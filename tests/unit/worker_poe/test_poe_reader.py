"""One bad event does not cost an answer that was paid for, in both kinds of streams."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    File,
    Finished,
    FinishReason,
    Reasoning,
    Replaced,
    Text,
    ToolCallDelta,
    Usage,
)
from worker.bot.reader import BotReader
from worker.openai.reader import ChatReader
from worker.poe.faults import FaultKind
from worker.poe.reader import AnswerReader
from worker.poe.sse import ServerSentEvent
from worker.poe.surrogates import SurrogateJoiner, whole

COUNTS = {"prompt_tokens": 3, "completion_tokens": 5}


def bot(name: str, data: object) -> ServerSentEvent:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return ServerSentEvent(name, body)


def chat(delta: Any, **choice: Any) -> ServerSentEvent:
    return body({"choices": [{"index": 0, "delta": delta} | choice]})


def body(value: object) -> ServerSentEvent:
    return bot("message", value)


def read(stream: AnswerReader, *events: ServerSentEvent) -> list[Event | FaultKind]:
    out: list[Event | FaultKind] = [e for event in events for e in stream.feed([event])]
    out += stream.end() if not stream.is_over else []
    return [*out, stream.fault.kind] if stream.fault else out


def read_bot(*events: ServerSentEvent) -> list[Event | FaultKind]:
    return read(BotReader(), *events)


def read_chat(*events: ServerSentEvent) -> list[Event | FaultKind]:
    return read(ChatReader(), *events)


DONE = bot("done", {})
END = ServerSentEvent("message", b"[DONE]")
CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Hello", id="no JSON"),
        pytest.param(b"[" * 100_000, id="depths"),
        *(
            pytest.param(value, id=repr(value))
            for value in (None, 5, "Hi", [], {}, [{"text": "x"}])
        ),
        *(pytest.param({"text": value}, id=f"text {value!r}") for value in (None, 5, True, [], {})),
    ],
)
def test_a_text_that_cannot_be_read_is_skipped_where_text_goes_on(data: object) -> None:
    events = [bot("text", {"text": "A"}), bot("text", data), bot("text", {"text": "B"}), DONE]

    assert read_bot(*events) == [Text("A"), Text("B"), Finished()]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("meta", b"{"),
        ("suggested_reply", {"text": 5}),
        ("ping", b"?"),
        ("data", 5),
        ("file", b"?"),
        ("file", {"name": "n"}),
        ("file", {"url": None}),
        ("file", {"url": 5, "name": "n", "content_type": "c"}),
        ("file", []),
        ("json", b"?"),
        ("json", [1]),
        ("json", {"choices": "x"}),
        ("json", {"choices": [5]}),
        ("json", {"choices": [{"delta": "x"}]}),
        ("json", {"choices": [{"delta": {"content": 5, "reasoning_content": {}}}]}),
        ("json", {"choices": [{"delta": {}, "finish_reason": []}], "usage": "x"}),
        ("json", {"usage": {"prompt_tokens": "3", "completion_tokens": None}}),
        ("replace_response", {"text": None}),
        ("whatever", b"{"),
    ],
)
def test_no_event_of_a_bot_that_cannot_be_read_costs_its_text(name: str, data: object) -> None:
    events = [bot("text", {"text": "A"}), bot(name, data), bot("text", {"text": "B"}), DONE]

    assert read_bot(*events) == [Text("A"), Text("B"), Finished()]


@pytest.mark.parametrize(
    "value",
    [
        b"ping",
        b"\xff",
        b"null",
        [1],
        "x",
        {},
        {"choices": 5},
        {"choices": {}},
        {"choices": [[]]},
        {"choices": [{"delta": [1]}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"reasoning": {"a": 1}, "tool_calls": None}}]},
        {"choices": [{"delta": {"role": 5, "refusal": [], "content": None}}]},
        {"choices": [], "usage": [], "id": 5, "created": "x", "model": None},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 2**70}},
        {"error": None},
    ],
)
def test_no_chunk_that_cannot_be_read_costs_the_text(value: object) -> None:
    events = [chat({"content": "A"}), body(value), chat({"content": "B"}), END]

    assert read_chat(*events) == [Text("A"), Text("B"), Finished()]


@pytest.mark.parametrize("data", [b'{"text": "Hel', b'{"choices": [{"delta": {"content": "x', b"{"])
@pytest.mark.parametrize("name", ["text", "replace_response", "json"])
def test_json_that_breaks_off_has_lost_words_and_ends_the_answer(name: str, data: bytes) -> None:
    whole, more = bot("text", {"text": "A"}), bot("text", {"text": "B"})

    assert read_bot(whole, bot(name, data), more, DONE) == [Text("A"), FaultKind.PROTOCOL]
    assert read_chat(chat({"content": "A"}), body(data), chat({"content": "B"}), END) == [
        Text("A"),
        FaultKind.PROTOCOL,
    ]


@pytest.mark.parametrize("data", [b"[DO", b'{"choices": [], "usage": {"prompt_t', b"{", b"?"])
@pytest.mark.parametrize(
    ("delta", "reason", "out"),
    [
        ({"content": "A"}, "stop", Text("A")),
        ({"tool_calls": [CALL]}, "tool_calls", ToolCallDelta(0, "a", "f", "{}")),
    ],
)
def test_what_breaks_off_behind_the_finish_reason_costs_nothing(
    delta: dict[str, Any], reason: FinishReason, out: Event, data: bytes
) -> None:
    events = [chat(delta), chat({}, finish_reason=reason), body(data)]

    assert read_chat(*events) == [out, Finished(reason)]
    assert read_chat(*events, END) == [out, Finished(reason)]


def test_what_was_skipped_is_counted() -> None:
    stream, chats = BotReader(), ChatReader()

    stream.feed([bot("text", {"text": 5}), bot("text", b"?"), bot("text", {"text": "A"})])
    chats.feed([body(b"?"), chat({"content": 5}), chat({"content": None}), chat({"content": "A"})])

    assert (stream.skipped, chats.skipped) == (2, 2)


@pytest.mark.parametrize("data", [b"?", {"text": 5}, {}])
def test_a_replacement_that_cannot_be_read_leaves_no_answer(data: object) -> None:
    broken = [bot("text", {"text": "Draft"}), bot("replace_response", data)]

    assert read_bot(*broken, DONE)[-1] is FaultKind.PROTOCOL
    assert read_bot(*broken, bot("text", {"text": "!"}), DONE)[-1] is FaultKind.PROTOCOL
    mended = read_bot(*broken, bot("replace_response", {"text": "Answer"}), DONE)
    assert mended[-2:] == [Replaced("Answer"), Finished()]


def test_nothing_but_what_cannot_be_read_is_a_fault_and_no_empty_answer() -> None:
    assert read_bot(bot("text", {"text": 5}), DONE) == [FaultKind.PROTOCOL]
    assert read_chat(chat({"content": 5}, finish_reason="stop"), END) == [FaultKind.PROTOCOL]
    assert read_chat(body(b"{")) == [FaultKind.PROTOCOL]


def test_a_chunk_that_cannot_be_read_beside_tool_calls_is_a_fault() -> None:
    # It may have been a part of one, and agents run them.
    call, broken = chat({"tool_calls": [CALL]}), body(b"?")

    assert read_chat(call, broken, END)[-1] is FaultKind.PROTOCOL
    assert read_chat(broken, call, END)[-1] is FaultKind.PROTOCOL
    announced = [chat({"content": "So."}), broken, chat({}, finish_reason="tool_calls"), END]
    assert read_chat(*announced)[-1] is FaultKind.PROTOCOL
    of_a_bot = bot("json", {"choices": [{"delta": {"tool_calls": [CALL]}}]})
    assert read_bot(of_a_bot, bot("json", b"?"), DONE)[-1] is FaultKind.PROTOCOL
    assert read_bot(of_a_bot, bot("text", b"?"), DONE)[-1] == Finished("tool_calls")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("eos", "stop"),
        ("whatever", "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        (5, "stop"),
        (True, "stop"),
        (["stop"], "stop"),
        ({"type": "stop"}, "stop"),
    ],
)
def test_any_finish_reason_ends_an_answer_that_has_text(reason: object, told: Any) -> None:
    # Neither [DONE] nor usage: the reason alone ends it.
    end = chat({}, finish_reason=reason)

    assert read_chat(chat({"content": "Hi"}), end) == [Text("Hi"), Finished(told)]


@pytest.mark.parametrize("reason", [None, "", " ", 0, False, [], {}])
def test_no_finish_reason_ends_nothing(reason: object) -> None:
    end = chat({}, finish_reason=reason)

    assert read_chat(chat({"content": "Hi"}), end) == [Text("Hi"), FaultKind.CUT]


@pytest.mark.parametrize("reason", ["error", "ERROR", "abort"])
def test_a_reason_that_says_that_the_model_failed_is_a_fault(reason: str) -> None:
    end = chat({}, finish_reason=reason)

    assert read_chat(chat({"content": "Hi"}), end, END) == [Text("Hi"), FaultKind.UPSTREAM_DOWN]


def test_an_answer_and_its_token_counts_need_no_other_end() -> None:
    counts = body({"choices": [], "usage": COUNTS})
    call = chat({"tool_calls": [CALL]})

    assert read_chat(chat({"content": "Hi"}), counts) == [Text("Hi"), Usage(3, 5), Finished()]
    assert read_chat(call, counts) == [
        ToolCallDelta(0, "a", "f", "{}"),
        Usage(3, 5),
        Finished("tool_calls"),
    ]
    of_a_bot = bot("json", {"choices": [{"delta": {"tool_calls": [CALL]}}]})
    ended = read_bot(of_a_bot, bot("json", {"choices": [], "usage": COUNTS}))
    assert ended[-1] == Finished("tool_calls")


def test_token_counts_amid_an_answer_are_not_its_end() -> None:
    counts = {"usage": COUNTS}
    with_text = body({"choices": [{"index": 0, "delta": {"content": "Hi"}}]} | counts)
    alone = body({"choices": []} | counts)
    half = chat({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}]})

    assert read_chat(with_text)[-1] is FaultKind.CUT
    assert read_chat(alone, chat({"content": "Hi"}))[-1] is FaultKind.CUT
    assert read_chat(alone)[-1] is FaultKind.CUT
    assert read_chat(half, alone)[-1] is FaultKind.CUT


def test_a_choice_whose_index_makes_no_sense_is_the_first() -> None:
    def choice(index: object, text: str) -> ServerSentEvent:
        return body({"choices": [{"index": index, "delta": {"content": text}}]})

    events = [
        choice("0", "A"),
        choice(None, "B"),
        choice([], "C"),
        choice(1, "D"),
        choice(2.5, "E"),
    ]

    assert read_chat(*events, END) == [Text("A"), Text("B"), Text("C"), Text("E"), Finished()]


def test_content_in_parts_is_read_as_their_text() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "image"}, {"type": "text", "text": "lo"}]

    assert read_chat(chat({"content": parts}), END) == [Text("Hello"), Finished()]


def text_of(events: list[Event | FaultKind]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["a\ud83d", "\ude00b", "c"], "a😀bc"),
        (["a", "\ud83d", "", "\ude00"], "a😀"),
        (["a\ud83d"], "a\ufffd"),
        (["\ud83d"], "\ufffd"),
        (["\ud83da", "b"], "\ufffdab"),
        (["\ud83d", "b"], "\ufffdb"),
        (["\ude00", "b"], "\ufffdb"),  # noqa: PT014 - to ruff all surrogates are one
        (["\ude00\ud83d", "\ude00"], "\ufffd😀"),
        (["\ud83d\ud83d", "\ude00"], "\ufffd😀"),  # noqa: PT014
    ],
)
def test_half_a_character_waits_for_the_other(pieces: list[str], text: str) -> None:
    of_bot = read_bot(*(bot("text", {"text": piece}) for piece in pieces), DONE)
    of_chat = read_chat(*(chat({"content": piece}) for piece in pieces), END)
    thoughts = read_chat(*(chat({"reasoning": p}) for p in pieces), chat({"content": "x"}), END)
    by_json = [bot("json", {"choices": [{"delta": {"reasoning": p}}]}) for p in pieces]

    assert text_of(of_bot) == text
    assert text_of(of_chat) == text
    for events in (thoughts, read_bot(*by_json, bot("text", {"text": "x"}), DONE)):
        assert "".join(e.text for e in events if isinstance(e, Reasoning)) == text


def test_half_a_character_is_void_with_the_text_that_is_replaced() -> None:
    out = read_bot(
        bot("text", {"text": "A\ud83d"}),
        bot("replace_response", {"text": "B\ud83d"}),
        bot("text", {"text": "\ude00"}),
        DONE,
    )

    assert out[0] == Text("A")
    assert out[1:] == [Replaced("B"), Text("😀"), Finished()]


def test_nothing_that_names_a_file_has_half_a_character() -> None:
    file = {"url": "u\ud83d", "name": "\ude00", "content_type": None, "inline_ref": 5}

    assert read_bot(bot("file", file), DONE)[0] == File("u\ufffd", "\ufffd", "", "")


@given(st.text(st.sampled_from("a\ud83d\ude00é")), st.lists(st.integers(0, 9)))
def test_halves_are_joined_wherever_they_were_cut(text: str, cuts: list[int]) -> None:
    halves = SurrogateJoiner()
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(places)]

    joined = "".join([*map(halves.join, pieces), halves.rest()])

    assert joined == whole(text)
    joined.encode()
