"""One answer between the hub and its client."""

from __future__ import annotations

import asyncio

import pytest

from contract.messages import (
    Event,
    Failed,
    FailureKind,
    Finished,
    Reasoning,
    Record,
    Started,
    Text,
    Usage,
)
from gateway.exchange.answer import Answer, Writer

STARTED = Started("w", 1, "Bot")
FAILED = Failed(FailureKind.RATE_LIMITED, "later")


def collecting() -> tuple[list[Event], Writer]:
    seen: list[Event] = []
    return seen, lambda _, record: seen.extend(record.events)


def record(*events: Event) -> Record:
    return Record("j", 1, 1, events)


async def is_over(answer: Answer) -> bool:
    waiting = asyncio.ensure_future(answer.over())
    await asyncio.sleep(0)
    over = waiting.done()
    waiting.cancel()
    return over


@pytest.mark.parametrize("before", range(5))
async def test_the_writer_gets_every_event_once_whenever_it_comes(before: int) -> None:
    events = [STARTED, Reasoning("hm"), Text("a"), Text("b"), Finished()]
    seen, writer = collecting()
    answer = Answer()

    for event in events[:before]:
        answer.take(0, record(event))
    answer.flow_to(writer)
    for event in events[before:]:
        answer.take(0, record(event))

    assert seen == events
    assert answer.started == STARTED
    assert answer.end == Finished()
    assert await is_over(answer)


@pytest.mark.parametrize(
    ("event", "decides"),
    [
        pytest.param(STARTED, False, id="an attempt may be followed by another"),
        pytest.param(Text("a"), True, id="text"),
        pytest.param(Reasoning("a"), True, id="reasoning"),
        pytest.param(Usage(1, 1), True, id="usage"),
        pytest.param(Finished(), True, id="the end"),
        pytest.param(FAILED, True, id="a failure"),
    ],
)
async def test_the_first_output_decides_on_the_status(event: Event, decides: bool) -> None:
    answer = Answer()
    waiting = asyncio.ensure_future(answer.decided(None))

    answer.take(0, record(event))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert waiting.done() is decides
    waiting.cancel()


async def test_patience_decides_where_nothing_else_does() -> None:
    answer = Answer()

    await answer.decided(0)

    assert not await is_over(answer)


@pytest.mark.parametrize("first", [Finished(), FAILED], ids=["finished", "failed"])
@pytest.mark.parametrize("flowing", [True, False], ids=["flowing", "held"])
async def test_nothing_counts_after_the_end(first: Finished | Failed, flowing: bool) -> None:
    seen, writer = collecting()
    answer = Answer()
    if flowing:
        answer.flow_to(writer)

    answer.take(0, record(Text("a"), first))
    answer.take(0, record(Text("b"), Finished("length")))

    if not flowing:
        answer.flow_to(writer)
    assert seen == [Text("a"), first]
    assert answer.end == first


async def test_a_client_that_has_left_ends_every_wait() -> None:
    seen, writer = collecting()
    answer = Answer()
    answer.flow_to(writer)

    answer.leave()
    answer.take(0, record(Text("a"), Finished()))

    await answer.decided(None)
    await answer.over()
    assert answer.client_left
    assert answer.end is None
    assert seen == []


async def test_a_writer_that_fails_fails_the_request_and_not_the_hub() -> None:
    answer = Answer()

    def broken(choice: int, record: Record) -> None:
        raise ValueError("a bug")

    answer.flow_to(broken)

    answer.take(0, record(Text("a")))
    answer.take(0, record(Text("b"), Finished()))

    with pytest.raises(ValueError, match="a bug"):
        await answer.over()
    assert answer.end is None


async def test_the_first_text_is_timed_once() -> None:
    answer = Answer()

    answer.take(0, record(STARTED))
    before = answer.first_text_at
    answer.take(0, record(Reasoning("a")))
    first = answer.first_text_at
    answer.take(0, record(Text("b")))

    assert before is None
    assert first is not None
    assert answer.first_text_at == first


async def test_an_answer_of_several_choices_ends_with_the_last_of_them() -> None:
    answer = Answer(2)

    answer.take(1, record(Text("a"), Finished("length")))
    between = answer.end
    answer.take(0, record(Finished()))

    assert between is None
    assert answer.end == Finished()
    assert answer.unfinished == set()


async def test_one_failed_choice_is_the_end_of_all() -> None:
    answer = Answer(2)

    answer.take(1, record(FAILED))

    assert answer.end == FAILED
    assert answer.unfinished == {0}
    assert await is_over(answer)


async def test_words_of_our_own_end_an_answer_whose_jobs_go_on() -> None:
    seen, writer = collecting()
    answer = Answer(2)
    answer.flow_to(writer)

    answer.fail(FAILED)
    answer.fail(Failed(FailureKind.INTERNAL, "another"))

    assert seen == [FAILED]
    assert answer.is_ours
    assert answer.unfinished == {0, 1}
