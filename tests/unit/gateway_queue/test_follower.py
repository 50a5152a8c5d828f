"""The hub's reader of one job: whatever becomes of the frames, what is delivered is the log."""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Iterable
from types import coroutine
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import Event, Failed, FailureKind, Finished, Record, Started, Text
from gateway.queue.batch import Batch
from gateway.queue.follower import PAGE, Follower, Source

JOB = "0123456789abcdef01234567"


@coroutine
def pause() -> Generator[None, None, None]:
    """Redis takes its time: meanwhile anything may happen."""
    yield


class Log:
    """The edge of one Follower: a log that grows, and reads of it that go on step by step."""

    def __init__(self) -> None:
        self.now = 0.0
        self.batch = Batch()
        self.records: list[Record] = []
        self.fault: Exception | None = None
        """What the next read raises."""
        self.cancelled: list[str] = []
        self._reads: list[Coroutine[Any, Any, None]] = []

    def cancel(self, job: str) -> None:
        self.cancelled.append(job)

    def spawn(self, reading: Coroutine[Any, Any, None]) -> None:
        self._reads.append(reading)

    async def read(self, job: str, after: str) -> list[Record]:
        assert job == JOB
        await pause()
        fault, self.fault = self.fault, None
        if fault:
            raise fault
        epoch, seq = map(int, after.split("-"))
        found = [r for r in self.records if (r.epoch, r.seq) > (epoch, seq)][:PAGE]
        await pause()
        return found

    def step(self) -> None:
        """Let every read that is under way go on to its next pause."""
        for reading in list(self._reads):
            try:
                reading.send(None)
            except StopIteration:
                self._reads.remove(reading)

    @property
    def reading(self) -> int:
        return len(self._reads)

    def settle(self) -> None:
        while self._reads:
            self.step()


class Reader:
    """A Follower and what it has delivered."""

    def __init__(self) -> None:
        self.log = Log()
        self.delivered: list[Event] = []
        self.follower = Follower(cast(Source, self.log), JOB, self._deliver)

    def _deliver(self, record: Record) -> None:
        self.delivered.extend(record.events)

    def look_into_the_log(self) -> None:
        self.follower.read_log()
        self.log.settle()


def record(epoch: int, seq: int, *events: Event) -> Record:
    return Record(JOB, epoch, seq, events or (Text(f"{epoch}-{seq} "),))


@st.composite
def answers(draw: st.DrawFn) -> list[Record]:
    """A whole log: perhaps attempts that came to nothing, then one that ends."""
    epoch = 0
    records = []
    for _ in range(draw(st.integers(0, 2))):
        epoch += draw(st.integers(1, 2))
        if draw(st.booleans()):
            records.append(record(epoch, 1, Started("w", epoch, "Bot")))
    epoch += draw(st.integers(1, 2))
    length = draw(st.integers(1, 8))
    records += [record(epoch, seq) for seq in range(1, length)]
    end = draw(st.sampled_from([Finished(), Failed(FailureKind.INTERRUPTED, "died")]))
    return [*records, record(epoch, length, Text("last"), end)]


def events_of(records: Iterable[Record]) -> list[Event]:
    return [event for each in records for event in each.events]


ACTS = st.sampled_from(
    ["append", "append unheard", "frame", "silence", "step", "fault", "pause", "resume"]
)


@given(answers(), st.lists(st.tuples(ACTS, st.integers(0, 20)), max_size=40))
def test_what_is_delivered_is_the_log_once_and_in_order(
    answer: list[Record], acts: list[tuple[str, int]]
) -> None:
    reader = Reader()
    log = reader.log

    for act, which in acts:
        match act:
            case "append" | "append unheard" if len(log.records) < len(answer):
                log.records.append(answer[len(log.records)])
                if act == "append":
                    reader.follower.heard(log.records[-1])
            case "frame" if log.records:
                reader.follower.heard(log.records[which % len(log.records)])
            case "silence":
                reader.follower.read_log()
            case "pause":
                reader.follower.pause()
            case "resume":
                reader.follower.resume()
            case "fault":
                log.fault = ConnectionError("gone")
            case _:
                log.step()
        assert log.reading <= 1
        expected = events_of(answer)
        assert reader.delivered == expected[: len(reader.delivered)]

    log.records, log.fault = answer, None
    reader.follower.resume()
    reader.look_into_the_log()
    reader.look_into_the_log()
    assert reader.delivered == events_of(answer)


@given(answers(), st.data())
def test_a_hole_in_the_log_itself_ends_the_answer_and_is_never_skipped(
    answer: list[Record], data: st.DataObject
) -> None:
    last_epoch = [r for r in answer if r.epoch == answer[-1].epoch]
    lost = data.draw(st.sampled_from(last_epoch))
    reader = Reader()
    reader.log.records = [r for r in answer if r is not lost]

    reader.look_into_the_log()
    for each in data.draw(st.permutations(reader.log.records)):
        reader.follower.heard(each)
        reader.log.settle()

    before = events_of(answer[: answer.index(lost)])
    assert reader.delivered[: len(before)] == before
    ended = reader.delivered[len(before) :]
    if lost is answer[-1]:
        assert ended == []
    else:
        assert [type(e) for e in ended] == [Failed]
        assert ended[0].kind == FailureKind.INTERRUPTED
        assert ended[0].charged
        assert JOB in reader.log.cancelled


def test_frames_that_come_in_order_need_no_log() -> None:
    reader = Reader()

    for seq in range(1, 5):
        reader.follower.heard(record(1, seq))

    assert reader.log.reading == 0
    assert reader.delivered == events_of(record(1, seq) for seq in range(1, 5))


def test_a_first_frame_of_a_later_epoch_is_not_trusted_without_the_log() -> None:
    reader = Reader()
    reader.log.records = [record(1, 1, Started("w", 1, "Bot")), record(3, 1)]

    reader.follower.heard(record(3, 1))

    assert reader.delivered == []
    reader.log.settle()
    assert reader.delivered == events_of(reader.log.records)


def test_a_log_of_many_pages_is_read_to_its_end() -> None:
    reader = Reader()
    reader.log.records = [record(1, seq) for seq in range(1, 2 * PAGE + 2)]

    reader.look_into_the_log()

    assert reader.delivered == events_of(reader.log.records)


def test_nothing_is_delivered_after_it_was_stopped() -> None:
    reader = Reader()
    reader.log.records = [record(1, 1), record(1, 2, Finished())]
    reader.follower.read_log()
    reader.log.step()

    reader.follower.stop()
    reader.log.settle()
    reader.follower.heard(record(1, 1))
    reader.follower.read_log()

    assert reader.delivered == []
    assert reader.log.reading == 0


@pytest.mark.parametrize("error", [msgspec.DecodeError("?"), msgspec.ValidationError("?")])
def test_a_log_that_cannot_be_understood_ends_the_answer(error: Exception) -> None:
    reader = Reader()
    reader.follower.heard(record(1, 1))
    reader.log.fault = error

    reader.look_into_the_log()
    reader.look_into_the_log()

    assert [type(event) for event in reader.delivered] == [Text, Failed]
    assert reader.delivered[1].kind == FailureKind.INTERNAL
    assert reader.log.cancelled == [JOB]


def test_a_record_without_events_does_no_harm() -> None:
    reader = Reader()

    reader.follower.heard(Record(JOB, 1, 1, ()))
    reader.follower.heard(record(1, 2, Finished()))

    assert reader.delivered == [Finished()]


def test_an_answer_that_is_done_is_read_to_its_end_before_it_counts_as_lost() -> None:
    reader = Reader()
    reader.log.records = [record(1, 1), record(1, 2, Finished())]

    reader.follower.vanish()
    reader.log.settle()

    assert reader.delivered == events_of(reader.log.records)


def test_an_answer_whose_end_is_not_in_the_log_is_lost() -> None:
    reader = Reader()
    reader.log.records = [record(1, 1)]

    reader.follower.vanish()
    reader.log.settle()

    assert [type(event) for event in reader.delivered] == [Text, Failed]


def test_nothing_is_lost_while_the_log_is_read_or_cannot_be() -> None:
    reader = Reader()

    reader.follower.read_log()
    reader.follower.vanish()
    reader.log.settle()
    reader.log.fault = ConnectionError("gone")
    reader.follower.vanish()
    reader.log.settle()

    assert reader.delivered == []


def test_a_job_that_stays_silent_is_looked_after_less_and_less() -> None:
    reader = Reader()
    pauses = []

    for _ in range(4):
        reader.follower.put_off(0.0)
        pauses.append(reader.follower.look_at)
    reader.follower.heard(record(1, 1))

    assert pauses == [2.0, 4.0, 5.0, 5.0]
    assert reader.follower.look_at == 1.0


def test_a_paused_reader_gets_nothing_and_then_all_of_it() -> None:
    reader = Reader()
    reader.log.records = [record(1, seq) for seq in range(1, 4)]
    reader.follower.heard(reader.log.records[0])

    reader.follower.pause()
    reader.follower.heard(reader.log.records[1])
    reader.look_into_the_log()
    reader.follower.vanish()
    paused = list(reader.delivered)
    reader.follower.resume()
    reader.log.settle()

    assert paused == events_of(reader.log.records[:1])
    assert reader.delivered == events_of(reader.log.records)


def test_a_reader_that_falls_behind_while_it_catches_up_stops_there() -> None:
    reader = Reader()
    reader.log.records = [record(1, seq) for seq in range(1, 4)]
    first = reader.log.records[0]

    def deliver(given: Record) -> None:
        reader.delivered.extend(given.events)
        if given == first:
            reader.follower.pause()

    reader.follower = Follower(cast(Source, reader.log), JOB, deliver)
    reader.look_into_the_log()
    before = list(reader.delivered)
    reader.follower.resume()
    reader.log.settle()

    assert before == events_of([first])
    assert reader.delivered == events_of(reader.log.records)
