"""One answer between the hub and its client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from contract.messages import Event, Failed, FailureKind, Finished, Reasoning, Started, Text, Usage
from gateway.answer import Answer

STARTED = Started("w", 1, "Bot")
FAILED = Failed(FailureKind.RATE_LIMITED, "later")


def collecting() -> tuple[list[Event], Callable[[Iterable[Event]], None]]:
    seen: list[Event] = []
    return seen, seen.extend


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
        answer.take([event])
    answer.flow_to(writer)
    for event in events[before:]:
        answer.take(iter([event]))

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

    answer.take([event])
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

    answer.take([Text("a"), first])
    answer.take([Text("b"), Finished("length")])

    if not flowing:
        answer.flow_to(writer)
    assert seen == [Text("a"), first]
    assert answer.end == first


async def test_a_client_that_has_left_ends_every_wait() -> None:
    seen, writer = collecting()
    answer = Answer()
    answer.flow_to(writer)

    answer.leave()
    answer.take([Text("a"), Finished()])

    await answer.decided(None)
    await answer.over()
    assert answer.client_left
    assert answer.end is None
    assert seen == []


async def test_a_writer_that_fails_fails_the_request_and_not_the_hub() -> None:
    answer = Answer()

    def broken(events: Iterable[Event]) -> None:
        if list(events):
            raise ValueError("a bug")

    answer.flow_to(broken)

    answer.take([Text("a")])
    answer.take([Text("b"), Finished()])

    with pytest.raises(ValueError, match="a bug"):
        await answer.over()
    assert answer.end is None


async def test_the_first_text_is_timed_once() -> None:
    answer = Answer()

    answer.take([STARTED])
    before = answer.first_text_at
    answer.take([Reasoning("a")])
    first = answer.first_text_at
    answer.take([Text("b")])

    assert before is None
    assert first is not None
    assert answer.first_text_at == first
