"""Where events begin and end in bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.poe.faults import Fault, FaultKind
from worker.poe.sse import EventDecoder, ServerSentEvent

HELLO = ServerSentEvent("text", b'{"text": "hi"}')
DONE = ServerSentEvent("done", b"{}")

STREAM = (
    b"\xef\xbb\xbf: ping\r\n\r\n"
    b'event: text\r\ndata: {"text": "hi"}\r\n\r\n'
    b': comment\nevent: text\ndata: {"text":\ndata:  "na\xc3\xafve"}\n\n'
    b"event:done\rdata:{}\r\r"
    b"id: 7\nretry: 3\ndata: nameless\n\n"
    b"event: done\ndata: {}"
)
EVENTS = [
    HELLO,
    ServerSentEvent("text", b'{"text":\n "na\xc3\xafve"}'),
    DONE,
    ServerSentEvent("message", b"nameless"),
    DONE,
]


def decode(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"", [], id="an empty body"),
        pytest.param(b"\n\n\r\n\r", [], id="blank lines"),
        pytest.param(b": ping\n\n: ping\n\n", [], id="comments only"),
        pytest.param(b"event: done\n\n", [ServerSentEvent("done", b"")], id="a name and no data"),
        pytest.param(b"data: x\n\n", [ServerSentEvent("message", b"x")], id="data and no name"),
        pytest.param(b"data:x\n\n", [ServerSentEvent("message", b"x")], id="no space"),
        pytest.param(b"data:  x\n\n", [ServerSentEvent("message", b" x")], id="two spaces"),
        pytest.param(
            b"data: a\ndata:\ndata: b\n\n",
            [ServerSentEvent("message", b"a\n\nb")],
            id="three lines",
        ),
        pytest.param(
            b"event: a\nevent: b\ndata: x\n\n",
            [ServerSentEvent("b", b"x")],
            id="the last name wins",
        ),
        pytest.param(
            b"event: \xff\ndata: x\n\n", [ServerSentEvent("\ufffd", b"x")], id="a name of no text"
        ),
        pytest.param(
            b"data: a\x0bb\xc2\x85c\n\n",
            [ServerSentEvent("message", b"a\x0bb\xc2\x85c")],
            id="line ends that SSE does not know",
        ),
        pytest.param(b"event: done\ndata: {}\n", [DONE], id="without its blank line"),
        pytest.param(b"event: done\ndata: {}", [DONE], id="without any line end"),
        pytest.param(STREAM, EVENTS, id="all of it"),
    ],
)
def test_reads_what_the_format_allows(stream: bytes, events: list[ServerSentEvent]) -> None:
    assert decode(stream) == events


def test_every_single_cut_gives_the_same_events() -> None:
    for cut in range(len(STREAM)):
        assert decode(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_byte_by_byte_gives_the_same_events() -> None:
    assert decode(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_where_the_network_cuts_the_stream_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]

    assert decode(*pieces) == EVENTS


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_garbage_is_survived_and_cut_anywhere_reads_the_same(pieces: list[bytes]) -> None:
    assert decode(*pieces) == decode(b"".join(pieces))


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"x" * 100, id="a line without end"),
        pytest.param(b"data: " + b"x" * 94 + b"\n", id="data lines without end"),
        pytest.param(b"data:\n" * 100, id="empty data lines without end"),
    ],
)
def test_an_event_without_end_is_a_fault_before_it_fills_the_memory(piece: bytes) -> None:
    decoder = EventDecoder(max_event=1000)

    with pytest.raises(Fault) as caught:
        all(decoder.feed(piece) == [] for _ in range(20))

    assert caught.value.kind is FaultKind.PROTOCOL


def test_the_bound_holds_for_one_event_not_for_the_body() -> None:
    decoder = EventDecoder(max_event=100)

    events = [e for _ in range(50) for e in decoder.feed(b'event: text\ndata: {"text": "hi"}\n\n')]

    assert events == [HELLO] * 50


def test_what_came_before_an_event_without_end_is_still_given_out() -> None:
    decoder = EventDecoder(max_event=100)

    assert decoder.feed(b'event: text\ndata: {"text": "hi"}\n\n' + b"x" * 200) == [HELLO]
    with pytest.raises(Fault):
        decoder.feed(b"x")
