"""A job's place in line, compared with a queue that is really served by virtual time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import TokenCounts, WorkerReport
from contract.position import QueuedClient, eta, newcomer, position
from contract.start_rate import WINDOW, StartRate
from gateway.queue.fleet import Fleet

# Sums of these are exact in binary, so that equal start tags are really equal.
turns = st.integers(0, 64).map(lambda n: n / 8)
weights = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, int, dict[str, QueuedClient]]:
    """A line, and one of the jobs in it by its client and number."""
    queue = {
        name: QueuedClient(
            draw(turns), draw(weights), draw(st.integers(1, 8)), draw(st.integers(0, 5))
        )
        for name in draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True))
    }
    client = draw(st.sampled_from(sorted(queue)))
    own = queue[client]
    return client, own.gone + draw(st.integers(1, own.waiting)), queue


def start_tags(standing: QueuedClient) -> list[float]:
    return [standing.turn + k / standing.weight for k in range(standing.waiting)]


@given(lines())
def test_the_jobs_ahead_are_those_with_a_lower_start_tag(
    line: tuple[str, int, dict[str, QueuedClient]],
) -> None:
    client, seq, queue = line
    own_tag = start_tags(queue[client])[seq - queue[client].gone - 1]

    place = position(client, seq, queue)

    assert place == 1 + sum(tag < own_tag for s in queue.values() for tag in start_tags(s))


@given(lines())
def test_no_job_is_served_before_its_place_comes(
    line: tuple[str, int, dict[str, QueuedClient]],
) -> None:
    client, seq, queue = line
    served = sorted((tag, c, k) for c, s in queue.items() for k, tag in enumerate(start_tags(s)))
    turn = next(
        n for n, (_, c, k) in enumerate(served, 1) if (c, k) == (client, seq - queue[c].gone - 1)
    )

    place = position(client, seq, queue)

    ties = sum(tag == served[turn - 1][0] for tag, _, _ in served) - 1
    assert turn - ties <= place <= turn


@pytest.mark.parametrize(
    ("seq", "queue"),
    [
        pytest.param(7, {}, id="nobody waits any more"),
        pytest.param(7, {"other": QueuedClient(0, 1, 9, 0)}, id="the look was before it came"),
        pytest.param(3, {"own": QueuedClient(5, 1, 1, 9)}, id="it has left the stream"),
    ],
)
def test_a_job_that_the_last_look_did_not_see_is_next(
    seq: int, queue: dict[str, QueuedClient]
) -> None:
    assert position("own", seq, queue) == 1


def test_one_flood_does_not_push_another_client_back() -> None:
    queue = {
        "flood": QueuedClient(0.0, 1.0, 5_000, 0),
        "own": QueuedClient(0.5, 1.0, 1, 0),
    }

    assert position("own", 1, queue) == 2


@pytest.mark.parametrize(
    ("place", "rate", "free", "seconds"),
    [
        pytest.param(1, 2.0, 0, 0.25, id="next"),
        pytest.param(10, 0.5, 0, 19.0, id="one start in two seconds"),
        pytest.param(10, 0.0, 0, None, id="nothing moves"),
        pytest.param(1, 0.01, 1, 0.0, id="a key is free"),
        pytest.param(3, 0.0, 3, 0.0, id="a key is free for each"),
        pytest.param(3, 0.5, 2, 1.0, id="the first beyond the free keys"),
    ],
)
def test_the_wait_is_the_place_by_the_rate(
    place: int, rate: float, free: int, seconds: float | None
) -> None:
    assert eta(place, rate, free) == seconds


@pytest.mark.parametrize(
    ("queue", "place"),
    [
        pytest.param({}, 2, id="nobody waits"),
        pytest.param({"own": QueuedClient(0.0, 1.0, 3, 7)}, 5, id="behind its own"),
        pytest.param({"other": QueuedClient(4.0, 1.0, 3, 0)}, 3, id="in turn with another"),
    ],
)
def test_who_is_not_in_line_yet_learns_where_the_last_of_two_jobs_would_be(
    queue: dict[str, QueuedClient], place: int
) -> None:
    assert newcomer("own", 2, 1.0, queue) == place


def look(at: float, dispatched: int, waiting: int = 5, capacity: float = 40.0) -> Fleet:
    worker = WorkerReport("w", "1", TokenCounts(free=1), 0, capacity)
    return Fleet(at, (worker,), waiting, dispatched)


@pytest.mark.parametrize(
    ("looks", "rate"),
    [
        pytest.param([], 0.0, id="no look yet"),
        pytest.param([look(0, 0)], 40.0, id="one look"),
        pytest.param([look(0, 0), look(1, 9)], 40.0, id="too short to tell"),
        pytest.param([look(t, 3 * t) for t in range(9)], 3.0, id="measured"),
        pytest.param([look(t, 7) for t in range(9)], 40.0, id="nothing started"),
        pytest.param([look(t, t, waiting=t) for t in range(9)], 40.0, id="once nobody waited"),
        pytest.param([look(t, t * t) for t in range(41)], 60.0, id="the last looks count"),
    ],
)
def test_the_rate_is_measured_while_jobs_wait_and_promised_otherwise(
    looks: list[Fleet], rate: float
) -> None:
    measured = StartRate()

    for each in looks:
        measured.observe(each)

    assert math.isclose(measured.rate(), rate)


def test_two_looks_at_the_same_time_tell_no_pace() -> None:
    measured = StartRate()

    measured.observe(look(1, 0))
    measured.observe(look(1, 5))

    assert measured.pace() == 0.0


def test_the_rate_keeps_no_more_looks_than_its_window() -> None:
    measured = StartRate()

    for t in range(1_000):
        measured.observe(look(t, t))

    assert len(measured._looks) <= WINDOW + 2
