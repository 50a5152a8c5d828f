"""One stream to its client: what is written when, and what becomes of it when rendering fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from contract.messages import Event, Failed, FailureKind, Finished, Record, Text
from gateway.dialect import Encoder, Frame
from gateway.exchange.answer import Answer
from gateway.exchange.backpressure import Backpressure
from gateway.exchange.resume import START, Cursor
from gateway.exchange.stream import Stream
from gateway.http import Request
from gateway.openai.chat_request import ChatAsk
from gateway.openai.chat_stream import chat_encoder
from gateway.openai.dialect import OPENAI
from gateway.problems import Problem, internal_error, problem_of
from gateway.queue.batch import Batch
from tests.support.openai_answers import head
from tests.unit.gateway.test_request import Client, request_of


class Faulty:
    """Renders all but one word."""

    def __init__(self) -> None:
        self._encoder = chat_encoder(head(), ChatAsk("m", ()))

    def begin(self) -> list[Frame]:
        return self._encoder.begin()

    def feed(self, choice: int, events: Sequence[Event]) -> list[Frame]:
        if Text("two") in events:
            raise ArithmeticError("a fault of ours")
        return self._encoder.feed(choice, events)

    def end(self, problem: Problem | None) -> list[Frame]:
        return self._encoder.end(problem)


def streaming(
    request: Request,
    answer: Answer,
    encoder: Encoder | None = None,
    batch: Batch | None = None,
    *,
    cursor: Cursor | None = None,
    skip: int = 0,
    goes_on: bool = False,
) -> Stream:
    stream = Stream(
        request,
        answer,
        OPENAI,
        encoder or chat_encoder(head(choices=answer.choices), ChatAsk("m", ())),
        followers=[],
        backpressure=Backpressure(1),
        batch=batch or Batch(),
        problem_of=problem_of,
        cursor=cursor,
        skip=skip,
        goes_on=goes_on,
    )
    answer.flow_to(stream.write)
    return stream


class Patient(Faulty):
    """Has an event for clients that count events while they wait."""

    def still(self) -> list[Frame]:
        return [Frame("{}", "still")]


def record(seq: int, *events: Event) -> Record:
    return Record("j", 1, seq, events)


async def test_a_stream_that_fails_by_our_own_fault_ends_in_an_error() -> None:
    client, answer = Client(), Answer()
    request = request_of(client)
    stream = streaming(request, answer, Faulty())

    for seq, word in enumerate(("one", "two", "three"), 1):
        answer.take(0, record(seq, Text(word)))
    with pytest.raises(ArithmeticError):
        await answer.over()
    # As the exchange and the app do then.
    stream.fail(internal_error())
    stream.stop()
    request.close()

    *_, said, error, rest = client.body.split(b"\n\n")
    assert b'"content":"one"' in said
    assert error.startswith(b'data: {"error":{')
    assert rest == b""
    assert client.ended


async def test_an_error_for_a_client_that_has_left_is_nothing() -> None:
    client, answer = Client(), Answer()
    stream = streaming(request_of(client), answer)
    client.left = True

    stream.fail(internal_error())

    assert client.body == b""
    assert answer.client_left


async def test_what_one_frame_brings_is_one_write() -> None:
    client, answer, batch = Client(), Answer(2), Batch()
    streaming(request_of(client), answer, batch=batch)

    with batch:
        for choice in range(2):
            answer.take(choice, record(1, Text("a")))
            answer.take(choice, record(2, Text("b")))
            before_the_end = client.writes

    assert before_the_end == 0
    assert client.writes == 1
    assert client.body.count(b'"content":"b"') == 2


async def test_a_fault_at_the_end_of_a_batch_ends_its_own_stream_only() -> None:
    batch = Batch()
    broken, whole = Client(), Client()
    broken.fault = ArithmeticError("a fault of ours")
    answers = Answer(), Answer()
    for client, answer in zip((broken, whole), answers, strict=True):
        streaming(request_of(client), answer, batch=batch)

    with batch:
        for answer in answers:
            answer.take(0, record(1, Text("a")))

    with pytest.raises(ArithmeticError):
        await answers[0].over()
    assert b'"content":"a"' in whole.body


async def test_a_failure_of_a_resumable_answer_can_be_resumed_behind() -> None:
    client, answer = Client(), Answer()
    streaming(request_of(client), answer, cursor=Cursor([START]))

    answer.take(0, record(1, Text("a")))
    answer.take(0, record(2, Failed(FailureKind.INTERRUPTED, "cut")))

    *_, error, rest = client.body.split(b"\n\n")
    assert error.startswith(b'data: {"error":{')
    assert error.endswith(b'"event_id":"1-2"}')
    assert rest == b""


async def test_what_closes_a_stream_has_no_place_in_its_log() -> None:
    client, answer = Client(), Answer()
    streaming(request_of(client), answer, cursor=Cursor([START]))

    answer.take(0, record(1, Text("a"), Finished()))

    *_, finish, done, rest = client.body.split(b"\n\n")
    assert b'"event_id":"1-1"' in finish
    assert (done, rest) == (b"data: [DONE]", b"")


async def test_an_event_takes_a_comments_place_when_none_has_come_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("gateway.exchange.stream.time.monotonic", lambda: now)
    client, answer = Client(), Answer()
    stream = streaming(request_of(client), answer, Patient())
    still = b"event: still\ndata: {}"

    for _ in range(25):
        now += 10
        stream.comment(b": alive\n\n")
    answer.take(0, record(1, Text("a")))
    for _ in range(5):
        now += 10
        stream.comment(b": alive\n\n")

    *blocks, _ = client.body.split(b"\n\n")
    assert [number for number, block in enumerate(blocks) if block == still] == [5, 11, 17, 23]
    assert blocks[24] == b": alive"
    assert blocks[-5:] == [b": alive"] * 5


async def test_clients_that_skip_comments_get_nothing_else_while_they_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("gateway.exchange.stream.time.monotonic", lambda: now)
    client, answer = Client(), Answer()
    stream = streaming(request_of(client), answer)

    now += 1000
    stream.comment(b": alive\n\n")

    assert client.body == b": alive\n\n"


def said(client: Client) -> list[bytes]:
    return client.body.split(b"\n\n")[:-1]


async def test_frames_that_the_client_has_are_left_out_wherever_they_come_from() -> None:
    words = [record(seq, Text(word)) for seq, word in enumerate(("a", "b", "c"), 1)]
    everything: list[bytes] = []

    for skip in range(20):
        client, answer = Client(), Answer()
        stream = streaming(request_of(client), answer, skip=skip)
        stream.open()
        for each in (*words, record(4, Finished())):
            answer.take(0, each)
        everything = everything or said(client)
        assert said(client) == everything[skip:]

    assert len(everything) > 4


async def test_a_stream_whose_answer_goes_on_ends_without_an_error_of_ours() -> None:
    client, answer = Client(), Answer(goes_on=True)
    stream = streaming(request_of(client), answer, goes_on=True)
    answer.take(0, record(1, Text("a")))
    before = client.body

    answer.fail(Failed(FailureKind.INTERRUPTED, "we stop"))
    stream.fail(internal_error())

    assert client.body == before


async def test_who_reads_along_is_told_that_an_answer_was_cancelled() -> None:
    client, answer = Client(), Answer(goes_on=True)
    streaming(request_of(client), answer, goes_on=True)

    answer.take(0, record(1, Failed(FailureKind.CANCELLED, "cancelled")))

    assert isinstance(answer.end, Failed)
    assert answer.end.kind is FailureKind.CANCELLED
