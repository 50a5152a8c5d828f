"""The emitter brings every event to the log once and in order, however Redis behaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import exceptions

from contract.calls.worker import CallNote
from contract.ledger import Cost
from contract.messages import (
    Event,
    Failed,
    Finished,
    Reasoning,
    Record,
    Replaced,
    Started,
    Text,
    Usage,
    is_terminal,
)
from tests.support.deployment import eventually
from worker.emitter import MAX_PENDING_EVENTS, STALE, Emitter, Outbox

APPENDED, LEFT = 0, 1


class Log:
    """What Redis is to the emitter: it may fail, lose a reply, or be held up."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.notes: list[CallNote] = []
        self.writes = 0
        self.faults: list[type[Exception] | str] = []
        """What the next writes meet: an exception, or "lost" for a reply that never comes."""
        self.verdicts: dict[tuple[str, int], int] = {}
        self.open = asyncio.Event()
        self.open.set()

    async def append(
        self, records: Sequence[Record], notes: Sequence[CallNote], _: Mapping[str, Cost]
    ) -> list[int]:
        self.writes += 1
        await self.open.wait()
        self.notes += notes
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, type):
            raise fault
        known = {(r.job, r.epoch, r.seq) for r in self.records}
        self.records += [r for r in records if (r.job, r.epoch, r.seq) not in known]
        if fault == "lost":
            raise exceptions.TimeoutError
        return [self.verdicts.get((record.job, record.epoch), APPENDED) for record in records]

    def events(self, job: str, epoch: int = 1) -> list[Event]:
        records = [r for r in self.records if (r.job, r.epoch) == (job, epoch)]
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        return [event for record in records for event in record.events]


@asynccontextmanager
async def _running(log: Log) -> AsyncIterator[Emitter]:
    emitter = Emitter(log.append)
    task = asyncio.create_task(emitter.run())
    try:
        yield emitter
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Heard:
    """What an outbox told its run."""

    def __init__(self) -> None:
        self.stops: list[bool] = []

    def outbox(self, emitter: Emitter, job: str = "j", epoch: int = 1) -> Outbox:
        return Outbox(emitter, job, epoch, self.stops.append)


async def test_what_is_put_is_written() -> None:
    log, heard = Log(), Heard()

    async with _running(log) as emitter:
        outbox = heard.outbox(emitter)
        outbox.put([Text("a")])
        await eventually(lambda: log.records != [])
        outbox.put([Text("b"), Finished()])
        await outbox.closed()

    assert log.records == [
        Record("j", 1, 1, (Text("a"),)),
        Record("j", 1, 2, (Text("b"), Finished())),
    ]
    assert heard.stops == []


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([exceptions.ConnectionError] * 2, id="Redis is away twice"),
        pytest.param(["lost"], id="a reply is lost"),
        pytest.param(["lost", OSError, "lost", TimeoutError], id="all kinds of trouble"),
    ],
)
async def test_nothing_is_lost_or_doubled_when_writes_fail(
    faults: list[type[Exception] | str],
) -> None:
    log, heard = Log(), Heard()
    log.faults = list(faults)

    async with _running(log) as emitter:
        outbox = heard.outbox(emitter)
        outbox.put([Started("w", 1, "Bot")])
        await eventually(lambda: log.writes > 0)
        outbox.put([Text("a")])
        outbox.put([Text("b"), Finished()])
        await outbox.closed()

    assert log.events("j") == [Started("w", 1, "Bot"), Text("ab"), Finished()]
    assert log.faults == []


async def test_what_piles_up_during_a_write_goes_out_in_the_next_one() -> None:
    log, heard = Log(), Heard()
    log.open.clear()

    async with _running(log) as emitter:
        one, two = heard.outbox(emitter, "one"), heard.outbox(emitter, "two")
        one.put([Text("0")])
        await eventually(lambda: log.writes == 1)
        for n in range(1, 100):
            one.put([Text(str(n))])
            two.put([Reasoning(str(n))])
        log.open.set()
        await eventually(lambda: len(log.records) == 3)

    expected = "".join(map(str, range(1, 100)))
    assert log.writes == 2
    assert log.records[1:] == [
        Record("one", 1, 2, (Text(expected),)),
        Record("two", 1, 1, (Reasoning(expected),)),
    ]


@pytest.mark.parametrize(
    ("events", "merged"),
    [
        pytest.param([Text("a"), Text("b")], [Text("ab")], id="text"),
        pytest.param([Reasoning("a"), Reasoning("b")], [Reasoning("ab")], id="reasoning"),
        pytest.param(
            [Text("a"), Reasoning("b"), Text("c")],
            [Text("a"), Reasoning("b"), Text("c")],
            id="text is not merged over thoughts",
        ),
        pytest.param(
            [Text("a"), Replaced("b"), Text("c"), Text("d")],
            [Text("a"), Replaced("b"), Text("cd")],
            id="nor over a replacement",
        ),
        pytest.param(
            [Usage(1, 2), Usage(1, 2), Replaced("a"), Replaced("a")],
            [Usage(1, 2), Usage(1, 2), Replaced("a"), Replaced("a")],
            id="nothing else is merged",
        ),
    ],
)
async def test_runs_of_text_become_one_event(events: list[Event], merged: list[Event]) -> None:
    log = Log()

    async with _running(log) as emitter:
        outbox = Heard().outbox(emitter)
        outbox.put([*events, Finished()])
        await outbox.closed()

    assert log.events("j") == [*merged, Finished()]


async def test_a_run_whose_client_has_left_is_told_to_stop() -> None:
    log, heard = Log(), Heard()
    log.verdicts = {("j", 1): LEFT}

    async with _running(log) as emitter:
        outbox = heard.outbox(emitter)
        outbox.put([Text("a")])
        await eventually(lambda: heard.stops != [])
        ended_by_then = outbox.ended
        outbox.put([Finished()])
        await outbox.closed()

    assert heard.stops == [False]
    assert not ended_by_then


async def test_a_run_that_lost_its_job_is_told_so_and_writes_no_more() -> None:
    log, heard = Log(), Heard()
    log.verdicts = {("j", 1): STALE}

    async with _running(log) as emitter:
        outbox = heard.outbox(emitter)
        outbox.put([Text("a")])
        await outbox.closed()
        outbox.put([Finished()])
        other = heard.outbox(emitter, "other")
        other.put([Finished()])
        await other.closed()

    assert heard.stops == [True]
    assert [record.job for record in log.records] == ["j", "other"]


async def test_two_runs_of_one_job_do_not_get_in_each_others_way() -> None:
    log, old, new = Log(), Heard(), Heard()
    log.verdicts = {("j", 1): STALE}

    async with _running(log) as emitter:
        first, second = old.outbox(emitter, epoch=1), new.outbox(emitter, epoch=3)
        first.put([Text("old"), Finished()])
        second.put([Text("new"), Finished()])
        await first.closed()
        await second.closed()

    assert (old.stops, new.stops) == ([True], [])
    assert log.events("j", 3) == [Text("new"), Finished()]


async def test_a_run_waits_when_too_much_is_pending() -> None:
    log, heard = Log(), Heard()
    log.open.clear()

    async with _running(log) as emitter:
        outbox = heard.outbox(emitter)
        outbox.put([Text("first")])
        await eventually(lambda: log.writes == 1)
        outbox.put([Usage(0, n) for n in range(MAX_PENDING_EVENTS)])
        await asyncio.wait_for(outbox.drained(), 5)
        outbox.put([Usage(0, 0)])
        waiting = asyncio.create_task(outbox.drained())
        for _ in range(10):
            await asyncio.sleep(0)
        too_early = waiting.done()
        log.open.set()
        await asyncio.wait_for(waiting, 5)

    assert not too_early


async def test_a_run_whose_job_is_lost_does_not_wait_for_room() -> None:
    log, heard = Log(), Heard()
    log.verdicts = {("j", 1): STALE}
    log.open.clear()

    async with _running(log) as emitter:
        outbox = heard.outbox(emitter)
        outbox.put([Text("first")])
        await eventually(lambda: log.writes == 1)
        outbox.put([Usage(0, n) for n in range(MAX_PENDING_EVENTS + 1)])
        waiting = asyncio.create_task(outbox.drained())
        await asyncio.sleep(0)
        log.open.set()

        await asyncio.wait_for(waiting, 5)

    assert outbox.ended


events_ = st.one_of(
    st.builds(Text, st.text(max_size=3)),
    st.builds(Reasoning, st.text(max_size=3)),
    st.builds(Replaced, st.text(max_size=3)),
)
faults_ = st.sampled_from([None, None, "lost", exceptions.ConnectionError])


def _plain(events: Sequence[Event]) -> list[tuple[str, str]]:
    """The same answer, character by character; a replacement is one step."""
    steps = []
    for event in events:
        if isinstance(event, Text | Reasoning):
            steps += [(type(event).__name__, character) for character in event.text]
        elif isinstance(event, Replaced):
            steps.append(("Replaced", event.text))
    return steps


@settings(max_examples=50, deadline=None)
@given(
    batches=st.lists(st.tuples(st.sampled_from("abc"), st.lists(events_, min_size=1, max_size=4))),
    turns=st.lists(st.integers(0, 3), min_size=1),
    faults=st.lists(faults_, max_size=2),
)
def test_any_mixture_of_jobs_and_faults_gives_the_same_answers(
    batches: list[tuple[str, list[Event]]],
    turns: list[int],
    faults: list[type[Exception] | str],
) -> None:
    async def play() -> dict[str, list[Event]]:
        log, heard = Log(), Heard()
        log.faults = list(faults)
        async with _running(log) as emitter:
            outboxes = {job: heard.outbox(emitter, job) for job in "abc"}
            for n, (job, events) in enumerate(batches):
                outboxes[job].put(events)
                for _ in range(turns[n % len(turns)]):
                    await asyncio.sleep(0)
            for outbox in outboxes.values():
                outbox.put([Finished()])
                await outbox.closed()
        return {job: log.events(job) for job in "abc"}

    answers = asyncio.run(play())

    for job, answer in answers.items():
        put = [event for to, events in batches if to == job for event in events]
        assert _plain(answer) == _plain(put)
        assert [event for event in answer if is_terminal(event)] == answer[-1:]


async def test_an_event_that_cannot_be_encoded_ends_its_own_job_only() -> None:
    log, heard = Log(), Heard()

    async def append(
        records: Sequence[Record], notes: Sequence[CallNote], costs: Mapping[str, Cost]
    ) -> list[int]:
        msgspec.msgpack.encode(list(records))
        return await log.append(records, notes, costs)

    emitter = Emitter(append)
    task = asyncio.create_task(emitter.run())
    bad, good = heard.outbox(emitter, "bad"), heard.outbox(emitter, "good")
    bad.put([Text("half a pair: \ud800")])
    good.put([Text("whole"), Finished()])
    await bad.closed()
    await good.closed()
    later = heard.outbox(emitter, "later")
    later.put([Finished()])
    await later.closed()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    (end,) = log.events("bad")
    assert isinstance(end, Failed)
    assert end.charged
    assert log.events("good") == [Text("whole"), Finished()]
    assert heard.stops == [True]


async def test_how_far_a_call_has_come_is_written_without_a_record() -> None:
    # given a call of which nothing but its status has come
    log, heard = Log(), Heard()
    async with _running(log) as emitter:
        outbox = heard.outbox(emitter, "j")
        # when
        outbox.note_sent(5.0)
        outbox.note_answered()
        # then
        await eventually(lambda: log.notes, "the note")
        assert log.notes == [CallNote("j", 1, sent=5.0, answered=True)]
        assert log.records == []


async def test_a_short_answer_and_its_call_cost_one_write() -> None:
    log, heard = Log(), Heard()
    async with _running(log) as emitter:
        outbox = heard.outbox(emitter, "j")
        # when all of it comes at about the same time
        outbox.put([Started("w", 1, "model", "token", 0.0)])
        outbox.note_sent(5.0)
        outbox.note_answered()
        outbox.put([Text("short")])
        outbox.put([Finished()])
        await outbox.closed()
    # then
    assert log.writes == 1
    assert len(log.records) == len(log.notes) == 1


async def test_a_call_that_failed_is_noted_no_longer() -> None:
    log, heard = Log(), Heard()
    async with _running(log) as emitter:
        outbox = heard.outbox(emitter, "j")
        outbox.note_sent(5.0)
        # when
        outbox.drop_notes()
        outbox.put([Finished()])
        await outbox.closed()
    # then
    assert log.notes == []
