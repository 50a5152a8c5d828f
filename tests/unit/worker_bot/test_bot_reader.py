"""What a client sees of a bot's events."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    File,
    Finished,
    Reasoning,
    Replaced,
    Text,
    ToolCallDelta,
    Usage,
)
from worker.bot.reader import BotReader
from worker.poe.faults import FaultKind
from worker.poe.sse import EventDecoder, ServerSentEvent


def event(name: str, /, **data: object) -> ServerSentEvent:
    return ServerSentEvent(name, msgspec.json.encode(data))


def text(words: str, **more: object) -> ServerSentEvent:
    return event("text", text=words, **more)


def replace(words: str) -> ServerSentEvent:
    return event("replace_response", text=words)


def chunk(delta: dict[str, object], finish_reason: str | None = None) -> ServerSentEvent:
    return event("json", choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


DONE = event("done")
META = event("meta", content_type="text/markdown", linkify=True, suggested_replies=False)
PICTURE = event("file", url="https://p.example/1.png", content_type="image/png", name="1.png")
FILE = File("https://p.example/1.png", "1.png", "image/png")


def seen(*events: ServerSentEvent) -> list[Event | FaultKind]:
    """What one client sees until the body ends, each event in a read of its own."""
    stream = BotReader()
    out: list[Event | FaultKind] = [e for event in events for e in stream.feed([event])]
    out += stream.end() if not stream.is_over else []
    return [*out, stream.fault.kind] if stream.fault else out


def read(events: list[Event | FaultKind]) -> str:
    """The text that a client ends with."""
    words = ""
    for one in events:
        match one:
            case Text(more):
                words += more
            case Replaced(all_of_it):
                words = all_of_it
    return words


@pytest.mark.parametrize(
    ("events", "out"),
    [
        pytest.param(
            [META, text("Hel"), text("lo"), DONE],
            [Text("Hel"), Text("lo"), Finished()],
            id="text",
        ),
        pytest.param([text("Hello")], [Text("Hello"), Finished()], id="no done at all"),
        pytest.param([META, DONE], [Finished()], id="done and nothing else"),
        pytest.param([META], [FaultKind.EMPTY], id="the end and nothing else"),
        pytest.param([text(""), DONE], [Finished()], id="empty text"),
        pytest.param([text("")], [FaultKind.EMPTY], id="empty text and no done"),
        pytest.param(
            [text("Yes"), event("suggested_reply", text="Why?"), DONE],
            [Text("Yes"), Finished()],
            id="suggested replies are not the answer",
        ),
        pytest.param(
            [
                event("ping"),
                ServerSentEvent("ping", b""),
                ServerSentEvent("meta", b"no json"),
                event("data", metadata="x"),
                ServerSentEvent("message", b"?"),
                ServerSentEvent("text", b""),
                ServerSentEvent("json", b""),
                ServerSentEvent("file", b""),
                ServerSentEvent("replace_response", b""),
                text("Yes"),
                ServerSentEvent("done", b""),
            ],
            [Text("Yes"), Finished()],
            id="empty data and unknown events",
        ),
        pytest.param(
            [text("A", index=0), text("B", index=1), text("C", index=None), text("D", index="x")],
            [Text("A"), Text("C"), Text("D"), Finished()],
            id="other responses are not the answer",
        ),
        pytest.param([PICTURE, DONE], [FILE, Finished()], id="a file and no text"),
        pytest.param(
            [event("file", url="u", content_type="c", name="n", index=2), DONE],
            [Finished()],
            id="a file of another response",
        ),
        pytest.param(
            [event("file", url="u", content_type="c", name="n", inline_ref="r"), DONE],
            [File("u", "n", "c", "r"), Finished()],
            id="a file that the text refers to",
        ),
        pytest.param(
            [text("Half"), event("error", text="Internal server error"), DONE],
            [Text("Half"), FaultKind.UPSTREAM_DOWN],
            id="done after an error says nothing",
        ),
        pytest.param(
            [text("All"), DONE, event("error", text="late"), text("more")],
            [Text("All"), Finished()],
            id="an error after done says nothing",
        ),
        pytest.param(
            [event("error", text="This bot needs more points to answer your request.")],
            [FaultKind.NO_POINTS],
            id="an error first",
        ),
        pytest.param(
            [ServerSentEvent("error", b"")], [FaultKind.UPSTREAM_DOWN], id="an error without data"
        ),
        pytest.param([ServerSentEvent("text", b"{")], [FaultKind.PROTOCOL], id="cut JSON"),
        pytest.param([event("text", text=1)], [FaultKind.PROTOCOL], id="text that is none"),
        pytest.param(
            [ServerSentEvent("text", b'{"text": "a\xffb"}')],
            [Text("a\ufffdb"), Finished()],
            id="no UTF-8",
        ),
        pytest.param([event("file", name="n")], [FaultKind.PROTOCOL], id="a file that is nowhere"),
        pytest.param(
            [ServerSentEvent("json", b"[" * 100_000)], [FaultKind.PROTOCOL], id="depths of JSON"
        ),
    ],
)
def test_tells_what_the_events_mean(
    events: list[ServerSentEvent], out: list[Event | FaultKind]
) -> None:
    assert seen(*events) == out


def test_what_came_before_an_error_in_the_same_bytes_is_not_lost() -> None:
    stream = BotReader()

    out = stream.feed([text("Half"), event("error", text="Internal server error")])

    assert out == [Text("Half")]
    assert stream.fault is not None


@pytest.mark.parametrize(
    ("events", "out"),
    [
        pytest.param(
            [replace("Hello"), replace("Hello you"), DONE],
            [Text("Hello you"), Finished()],
            id="one that goes on is more text",
        ),
        pytest.param(
            [text("Hello"), replace("Hello"), DONE], [Text("Hello"), Finished()], id="no change"
        ),
        pytest.param(
            [text("Hello"), replace("Bye"), text("!"), DONE],
            [Text("Hello"), Replaced("Bye"), Text("!"), Finished()],
            id="another text",
        ),
        pytest.param(
            [text("Hello"), replace(""), text("Bye"), DONE],
            [Text("Hello"), Replaced("Bye"), Finished()],
            id="nothing, then another text",
        ),
        pytest.param(
            [text("Hello"), replace(""), text("Hello you"), DONE],
            [Text("Hello"), Text(" you"), Finished()],
            id="nothing, then the same again",
        ),
        pytest.param(
            [text("Hello"), replace(""), DONE],
            [Text("Hello"), Replaced(""), Finished()],
            id="nothing, and it stays so",
        ),
        pytest.param(
            [text("Hello"), replace("")],
            [Text("Hello"), Replaced(""), FaultKind.EMPTY],
            id="nothing, and no done",
        ),
        pytest.param([replace(""), DONE], [Finished()], id="nothing by nothing"),
        pytest.param(
            [text("Hello"), replace("Thinking..."), replace("Hello you"), DONE],
            [Text("Hello"), Text(" you"), Finished()],
            id="a placeholder in between",
        ),
        pytest.param(
            [text("Hello"), replace("Thinking..."), text("Bye"), DONE],
            [Text("Hello"), Replaced("Bye"), Finished()],
            id="a placeholder, then another text",
        ),
        pytest.param(
            [text("Hello"), replace("Frame 1 (1s elapsed)"), text(" is done"), DONE],
            [Text("Hello"), Replaced("Frame 1 (1s elapsed)"), Text(" is done"), Finished()],
            id="what looks like a placeholder but has an end",
        ),
    ],
)
def test_a_replacement_says_no_more_than_it_changes(
    events: list[ServerSentEvent], out: list[Event | FaultKind]
) -> None:
    assert seen(*events) == out


@pytest.mark.parametrize(
    ("events", "out"),
    [
        pytest.param(
            [
                replace("Thinking..."),
                replace("Thinking... (1s elapsed)"),
                replace("Thinking... (2s elapsed)"),
                replace("Yes"),
                text("!"),
                DONE,
            ],
            [Text("Yes"), Text("!"), Finished()],
            id="replaced",
        ),
        pytest.param(
            [replace("Thinking... (2s elapsed)"), text("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="followed by text",
        ),
        pytest.param(
            [text("Thinking..."), text(" (2s elapsed)"), text("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="told as text, with a counter",
        ),
        pytest.param(
            [text("Thinking..."), text("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="told as one text",
        ),
        pytest.param(
            [text("Thinking..."), text("Generating image..."), text("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="one after the other",
        ),
        pytest.param(
            [text("Thin"), text("king..."), replace("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="in pieces, replaced",
        ),
        pytest.param(
            [text("Generating ima"), text("ge..."), PICTURE, DONE],
            [FILE, Finished()],
            id="in pieces, before a file",
        ),
        pytest.param(
            [replace("Generating image (3s elapsed)"), PICTURE, replace("![1](u)"), DONE],
            [FILE, Text("![1](u)"), Finished()],
            id="before a file",
        ),
        pytest.param([replace("Thinking..."), DONE], [Finished()], id="and then nothing"),
        pytest.param(
            [text("Thinking... (9s elapsed)")], [FaultKind.EMPTY], id="as text, and then nothing"
        ),
        pytest.param(
            [
                replace("Plan.\n\nGenerating image... (1s elapsed)"),
                replace("Plan.\n\nGenerating image... (2s elapsed)"),
                PICTURE,
                replace("Plan.\n\n![1](u)"),
                DONE,
            ],
            [Text("Plan.\n\n"), FILE, Text("![1](u)"), Finished()],
            id="below an answer",
        ),
        pytest.param(
            [replace("Plan.\n\nThinking (1s elapsed)"), text("More."), DONE],
            [Text("Plan.\n\n"), Text("More."), Finished()],
            id="below an answer that goes on",
        ),
        pytest.param(
            [replace("Frame 1 (1s elapsed)"), replace("Frame 2 (2s elapsed)"), PICTURE, DONE],
            [FILE, Finished()],
            id="of an unknown form",
        ),
        pytest.param(
            [replace("Rendering… 10%"), replace("Rendering… 20%"), text("Here:"), PICTURE, DONE],
            [Text("Here:"), FILE, Finished()],
            id="of an unknown form, followed by text",
        ),
        pytest.param(
            [replace("Rendering the picture"), replace("Sampling"), replace("Here it is."), DONE],
            [Text("Here it is."), Finished()],
            id="that looks like words, replaced",
        ),
        pytest.param(
            [text("正在生成图片… 10%"), replace("正在生成图片… 20%"), PICTURE, DONE],
            [FILE, Finished()],
            id="in another language, told as text",
        ),
        pytest.param(
            [
                text("考えています…"),
                replace("考えています… (1秒)"),
                replace(""),
                text("はい"),
                DONE,
            ],
            [Text("はい"), Finished()],
            id="in another language, that begins to count",
        ),
        pytest.param(
            [
                text("正在思考…"),
                replace("正在思考… 9 秒钟"),
                replace("正在思考… 1 分钟"),
                text("好"),
                DONE,
            ],
            [Text("好"), Finished()],
            id="in another language, that counts minutes",
        ),
        pytest.param(
            [text("Создаю… 1 с"), replace("Создаю… 2 с"), PICTURE, DONE],
            [FILE, Finished()],
            id="in another language, that counts without brackets",
        ),
        pytest.param(
            [replace("생성 중... (59초)"), replace("생성 중... (1분 3초)"), text("네"), DONE],
            [Text("네"), Finished()],
            id="in another language, with two units",
        ),
        pytest.param(
            [replace("生成中（3秒）"), PICTURE, DONE],
            [FILE, Finished()],
            id="in another language, once",
        ),
        pytest.param(
            [replace("⏳"), replace("⌛"), replace("⏳"), text("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="without any letter",
        ),
        pytest.param(
            [replace("Loading…"), replace("Sampling…"), replace("Upscaling…"), text("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="three in a row, each in other words",
        ),
        pytest.param(
            [replace("Working…"), replace("Working…"), text("Yes"), DONE],
            [Text("Yes"), Finished()],
            id="said again as it was",
        ),
        pytest.param(
            [replace("Thinking... (59s elapsed)"), replace("Thinking... (1m 3s elapsed)")],
            [FaultKind.EMPTY],
            id="that counts minutes",
        ),
        pytest.param(
            [
                replace("Plan.\n\n渲染中 10%"),
                replace("Plan.\n\n渲染中 20%"),
                replace("Plan.\n\n渲染中 30%"),
                PICTURE,
                replace("Plan.\n\n![1](u)"),
                DONE,
            ],
            [Text("Plan.\n\n"), FILE, Text("![1](u)"), Finished()],
            id="of an unknown form below an answer",
        ),
        pytest.param(
            [text("Rendering"), *(replace(f"Rendering {n}%") for n in range(9)), text("Yes"), DONE],
            [Text("Rendering"), Replaced("Yes"), Finished()],
            id="but the first, if it looked like words",
        ),
        pytest.param(
            [replace("Rendering… 10%"), replace("Rendering… 20%")],
            [FaultKind.EMPTY],
            id="before a cut, which leaves no answer",
        ),
        pytest.param(
            [replace("Thinking..."), event("error", text="x"), DONE],
            [FaultKind.UPSTREAM_DOWN],
            id="before an error, so another attempt can be made",
        ),
    ],
)
def test_a_placeholder_never_reaches_the_client(
    events: list[ServerSentEvent], out: list[Event | FaultKind]
) -> None:
    assert seen(*events) == out


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(["Thinking", " about it, yes"], id="begins like one"),
        pytest.param(["Thinking", "...", " well, yes"], id="begins with one, as models write"),
        pytest.param(["Thinking..."], id="is one, as text"),
        pytest.param(["Thin", "king..."], id="is one, in pieces"),
        pytest.param(["Thinking"], id="is a word of one"),
        pytest.param(["T"], id="is a letter of one"),
        pytest.param(["\n", "\n", "Hello"], id="begins with blank lines"),
        pytest.param(["Yes. ", "Thinking..."], id="ends with one"),
        pytest.param(["ha", "ha", "\n", "\n"], id="repeats itself"),
    ],
)
def test_no_word_is_lost_for_looking_like_a_placeholder(pieces: list[str]) -> None:
    out = seen(*map(text, pieces), DONE)

    assert read(out) == "".join(pieces)
    assert out[-1] == Finished()


@pytest.mark.parametrize(
    ("events", "answer"),
    [
        pytest.param([replace("Hello"), text(", world")], "Hello, world", id="words, once"),
        pytest.param([replace("Well…"), text(" yes")], "Well… yes", id="with dots, once"),
        pytest.param(
            [replace("Thinking..."), replace("Well…"), text(" yes")],
            "Well… yes",
            id="with dots, behind a placeholder",
        ),
        pytest.param([replace("Hello"), replace("Hello"), text("!")], "Hello!", id="said twice"),
        pytest.param(
            [replace("a…"), replace("a…b…"), replace("a…b…c…"), text("d")], "a…b…c…d", id="growing"
        ),
        pytest.param(
            [replace("Count: 1"), replace("Count: 2")], "Count: 2", id="numbers, at the end"
        ),
        pytest.param([text("10%")], "10%", id="a percentage alone"),
        pytest.param([text("0...5"), text(" or so")], "0...5 or so", id="a range"),
        pytest.param(
            [replace("It has 3 cats"), replace("It has 3 dogs"), text(" more")],
            "It has 3 dogs more",
            id="another word behind a number",
        ),
        pytest.param(
            [text("Half, (1)"), text(" then")], "Half, (1) then", id="a count in brackets"
        ),
        pytest.param([replace("![1](u1)"), PICTURE], "![1](u1)", id="a link beside its file"),
        pytest.param([replace("x" * 5000), replace("y" * 5000)], "y" * 5000, id="long drafts"),
        pytest.param(
            [
                replace("There are 3 cats.\nAll black."),
                replace("There are 4 cats.\nAll black."),
                text(" Yes."),
            ],
            "There are 4 cats.\nAll black. Yes.",
            id="a corrected number amid an answer",
        ),
    ],
)
def test_no_replaced_word_is_lost_for_looking_like_a_placeholder(
    events: list[ServerSentEvent], answer: str
) -> None:
    out = seen(*events, DONE)

    assert read(out) == answer
    assert out[-1] == Finished()


def test_drafts_that_are_replaced_again_and_again_do_not_pile_up() -> None:
    drafts = [replace(f"{word} about it") for word in ("Asking", "AnswerReader", "Thinking hard")]

    out = seen(text("Hi"), text(" there"), *drafts, replace("Done"), text("."), DONE)

    assert out == [Text("Hi"), Text(" there"), Replaced("Done"), Text("."), Finished()]


@given(st.lists(st.sampled_from(["Thin", "king", " ", ".", "..", "about", "\n", "(3s", " e"])))
def test_text_in_small_pieces_comes_out_whole(pieces: list[str]) -> None:
    # Nothing here is a placeholder by one event of its own or by a counter.
    out = seen(*map(text, pieces), DONE)

    assert read(out) == "".join(pieces)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "ab", "ab\n", "b", "ba"]))))
def test_the_client_ends_with_what_the_bot_ended_with(steps: list[tuple[bool, str]]) -> None:
    upstream = ""
    for replaces, words in steps:
        upstream = words if replaces else upstream + words

    out = seen(*(replace(words) if replaces else text(words) for replaces, words in steps))

    assert read(out) == upstream
    assert (out[-1] == Finished()) == bool(upstream)


def test_tool_calls_come_as_deltas_with_their_usage() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}

    out = seen(
        chunk({"role": "assistant", "content": None}),
        chunk({"content": "Let me see."}),
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"function": {"arguments": ":1}"}}]}, "tool_calls"),
        event("json", choices=[], usage={"prompt_tokens": 3, "completion_tokens": 5}),
        DONE,
    )

    assert out == [
        Text("Let me see."),
        ToolCallDelta(0, "c1", "f"),
        ToolCallDelta(0, arguments='{"a"'),
        ToolCallDelta(0, arguments=":1}"),
        Usage(3, 5),
        Finished("tool_calls"),
    ]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
    ],
)
def test_the_reason_for_the_end_is_passed_on(told: str, reason: str) -> None:
    out = seen(chunk({"content": "x"}, told), DONE)

    assert out == [Text("x"), Finished(reason)]  # type: ignore[arg-type]


def test_tool_calls_are_the_reason_where_poe_gives_none() -> None:
    out = seen(chunk({"tool_calls": [{"id": "c", "function": {"name": "f"}}]}), DONE)

    assert out == [ToolCallDelta(0, "c", "f"), Finished("tool_calls")]


def test_the_last_fragment_and_the_reason_may_come_in_one_chunk() -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    other = call | {"index": 1, "id": "b"}

    out = seen(chunk({"content": "So:", "tool_calls": [call, other]}, "tool_calls"), DONE)

    assert out == [
        Text("So:"),
        ToolCallDelta(0, "a", "f", "{}"),
        ToolCallDelta(1, "b", "f", "{}"),
        Finished("tool_calls"),
    ]


def test_a_call_is_named_once_however_often_poe_names_it() -> None:
    named = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": part}} for part in "ab"]

    out = seen(*(chunk({"tool_calls": [fragment]}) for fragment in named), DONE)

    assert out[:-1] == [ToolCallDelta(0, "c", "f", "a"), ToolCallDelta(0, arguments="b")]


@pytest.mark.parametrize("reason", [None, "tool_calls"])
def test_a_body_that_ends_amid_tool_calls_is_cut(reason: str | None) -> None:
    fragment = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}

    out = seen(chunk({"tool_calls": [fragment]}, reason))

    assert out[-1] == (Finished("tool_calls") if reason else FaultKind.CUT)


def test_a_placeholder_vanishes_before_a_tool_call() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f"}}

    assert seen(chunk({"content": "Thinking..."}), chunk({"tool_calls": [call]}), DONE) == [
        ToolCallDelta(0, "c", "f"),
        Finished("tool_calls"),
    ]


def test_reasoning_in_a_chunk_is_no_text() -> None:
    out = seen(chunk({"reasoning_content": "Hm."}), chunk({"content": "Yes."}, "stop"), DONE)

    assert out == [Reasoning("Hm."), Text("Yes."), Finished()]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "tool_calls", "function", "usage", "content", "index"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=4))
def test_any_object_in_a_json_event_ends_the_answer_or_is_no_answer(values: list[object]) -> None:
    events = [ServerSentEvent("json", msgspec.json.encode(value)) for value in values]

    out = seen(*events, text("End."), DONE)

    # What ought to be a tool call, and is none, must not pass for an answer.
    assert out[-1] in (Finished(), Finished("tool_calls"), FaultKind.PROTOCOL)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([text("x" * 60), text("y" * 60)], id="text"),
        pytest.param([replace("x" * 120)], id="a replacement"),
        pytest.param([text("a"), replace("x" * 120)], id="another text"),
        pytest.param([chunk({"reasoning_content": "x" * 60})] * 2, id="reasoning"),
        pytest.param([event("file", url="x" * 60)] * 2, id="files"),
        pytest.param(
            [chunk({"tool_calls": [{"index": n, "function": {"name": "f"}}]}) for n in range(129)],
            id="tool calls",
        ),
        pytest.param(
            [chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x" * 2**20}}]})] * 9,
            id="arguments",
        ),
    ],
)
def test_an_answer_without_end_is_a_fault_before_it_fills_the_memory(
    events: list[ServerSentEvent],
) -> None:
    stream = BotReader(max_text=100)

    stream.feed(events)

    assert stream.fault is not None
    assert stream.fault.kind is FaultKind.PROTOCOL


RECORDED = b"".join(
    b"event: %b\r\ndata: %b\r\n\r\n" % (e.name.encode(), e.data)
    for e in [
        META,
        replace("Thinking..."),
        event("ping"),
        replace("Thinking... (1s elapsed)"),
        text("Na\u00efve "),
        text("\U0001f600 answer"),
        replace("Na\u00efve \U0001f600 answer.\n\nGenerating image (2s elapsed)"),
        PICTURE,
        replace("Better.\n\n![1.png](https://p.example/1.png)"),
        event("suggested_reply", text="Why?"),
        DONE,
        event("error", text="too late"),
    ]
)
PLAYED = [
    Text("Na\u00efve "),
    Text("\U0001f600 answer"),
    Text(".\n\n"),
    FILE,
    Replaced("Better.\n\n![1.png](https://p.example/1.png)"),
    Finished(),
]


def play(*pieces: bytes) -> list[Event]:
    decoder, stream = EventDecoder(), BotReader()
    out = [e for piece in pieces for e in stream.feed(decoder.feed(piece))]
    return out + stream.feed(decoder.close())


def test_a_recorded_answer_cut_at_any_byte_is_the_same_answer() -> None:
    for cut in range(len(RECORDED)):
        assert play(RECORDED[:cut], RECORDED[cut:]) == PLAYED


@given(st.lists(st.integers(0, len(RECORDED)), max_size=20))
def test_a_recorded_answer_in_any_pieces_is_the_same_answer(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(RECORDED)]

    assert play(*(RECORDED[a:b] for a, b in pairwise(edges))) == PLAYED


@pytest.mark.parametrize(
    ("events", "begun"),
    [
        pytest.param([META, event("ping"), text("")], False, id="signs of life"),
        pytest.param([event("suggested_reply", text="Why?")], False, id="a suggestion"),
        pytest.param([event("json", choices=[{"delta": {"role": "a"}}])], False, id="a role"),
        pytest.param([text("Thinking...")], True, id="a placeholder that is held back"),
        pytest.param([replace("Thinking... (3s elapsed)")], True, id="a replaced placeholder"),
        pytest.param([text("Hello")], True, id="text"),
        pytest.param([PICTURE], True, id="a file"),
        pytest.param(
            [event("json", choices=[{"delta": {"content": "Thinking..."}}])],
            True,
            id="a placeholder in a chunk",
        ),
    ],
)
def test_knows_whether_the_answer_has_begun(events: list[ServerSentEvent], begun: bool) -> None:
    stream = BotReader()

    stream.feed(events)

    assert stream.begun is begun
