"""Coming back to an answer: what a client has and what it lacks add up to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import Record
from gateway.exchange.idempotency import idempotency_key
from gateway.exchange.resume import START, Cursor, places
from gateway.problems import Problem
from tests.support.openai_answers import code_of, status_of

Log = list[tuple[int, Record, int]]
"""Records of some choice, each with the number of its chunks."""


@st.composite
def logs(draw: st.DrawFn) -> tuple[int, Log]:
    choices = draw(st.integers(1, 3))
    seqs = [0] * choices
    log: Log = []
    for choice in draw(st.lists(st.integers(0, choices - 1), max_size=12)):
        seqs[choice] += 1
        log.append((choice, Record("j", 1, seqs[choice], ()), draw(st.integers(0, 4))))
    return choices, log


def chunks_of(log: Log, cursor: Cursor) -> list[tuple[tuple[int, int, int], str]]:
    """Each chunk that is sent: what it is, and its id."""
    return [
        ((choice, record.seq, number), event_id)
        for choice, record, count in log
        for number, event_id in enumerate(cursor.number(choice, record, count))
        if event_id is not None
    ]


@given(logs(), st.data())
def test_wherever_a_client_was_cut_off_it_gets_the_rest_and_nothing_twice(
    given_log: tuple[int, Log], data: st.DataObject
) -> None:
    choices, log = given_log
    whole = chunks_of(log, Cursor([START] * choices))
    cut = data.draw(st.integers(0, len(whole)))
    last = whole[cut - 1][1] if cut else "0"

    # Choices come in any order, but each of them in its own.
    orders = data.draw(st.permutations(range(choices)))
    again = sorted(log, key=lambda entry: orders[entry[0]])
    rest = chunks_of(again, Cursor(places(last, choices)))

    had = [what for what, _ in whole[:cut]]
    assert sorted(had + [what for what, _ in rest]) == sorted(what for what, _ in whole)
    assert len({event_id for _, event_id in whole}) == len(whole)


def test_the_id_of_a_record_s_last_chunk_is_the_id_of_its_record() -> None:
    cursor = Cursor([START])

    assert cursor.number(0, Record("j", 1, 42, ()), 3) == ["1-42.1", "1-42.2", "1-42"]


@pytest.mark.parametrize(
    "event_id", ["", "1", "1-", "-1", "1-2-3", "1-2,3-4", "1_0-2", "x", "1-2.", "9" * 99 + "-1"]
)
def test_an_id_that_none_of_our_chunks_had_is_refused(event_id: str) -> None:
    with pytest.raises(Problem) as refused:
        places(event_id, 1)

    assert status_of(refused.value) == 400
    assert code_of(refused.value) == "invalid_event_id"


def test_the_start_needs_no_place_for_each_choice() -> None:
    assert places("0", 3) == [START] * 3


@pytest.mark.parametrize("given_key", ["k" * 256, "schlüssel", "a\x00b"])
def test_a_key_that_no_header_should_hold_is_refused(given_key: str) -> None:
    with pytest.raises(Problem) as refused:
        idempotency_key(given_key)

    assert status_of(refused.value) == 400


def test_a_key_is_not_told_by_its_name() -> None:
    assert "sk-secret" not in idempotency_key("sk-secret")
    assert idempotency_key("a") != idempotency_key("b")
