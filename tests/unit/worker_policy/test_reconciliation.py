"""Which row of Poe's points history is which of our requests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.ledger import Request
from worker.poe.points_history import Row
from worker.policy.reconciliation import (
    NEAR,
    PATIENCE,
    REQUEST_LIFE,
    ROW_LIFE,
    TOLERANCE,
    Found,
    Open,
    Reconciled,
    next_look,
    reconcile,
    wanted_since,
)

START = 1_800_000_000_000
NOW = START + 60_000
SOON, LATER = NOW, NOW + PATIENCE


def request(job: str = "j", at: int = 0, **fields: Any) -> Open:
    """Return a request that began `at` milliseconds after the start, and took a second."""
    known = {"prompt_tokens": 10, "completion_tokens": 5, "settled": 3, "basis": "usage"}
    given_ = {"asked": START + at, "sent": START + at, "duration": 1000, "bot": "Echo", "calls": 1}
    return Open(Request(job=job, client="c", **{**given_, **known, **fields}))


def row(query: str = "q", at: int = 0, points: int = 4, **fields: Any) -> Row:
    return Row(query, START + at, **{"bot": "Echo", "points": points, **fields})


def counted(query: str = "q", at: int = 0, points: int = 4, **fields: Any) -> Row:
    """Return a row that says how many tokens there were."""
    return row(query, at, points, **{"input": 10, "output": 5, **fields})


def pairs(reconciled: Reconciled) -> dict[str, str]:
    """Return the jobs of the rows."""
    return {
        each.row.query: each.request.job if each.request else ""
        for each in reconciled.found
        if each.row
    }


def reasons(reconciled: Reconciled) -> list[str]:
    return sorted(each.reason for each in reconciled.found)


def test_a_row_that_fits_one_request_is_its() -> None:
    found = reconcile([request()], [counted()], SOON)

    (only,) = found.found
    assert only == Found(counted(), request().request, points=1, reason="matched")
    assert (found.opens, found.rows, found.lost) == ((), (), 0)


def test_a_row_that_says_what_was_settled_changes_nothing_but_is_matched() -> None:
    (only,) = reconcile([request(settled=4)], [counted()], SOON).found

    assert (only.points, only.reason) == (0, "matched")


def test_rows_of_other_bots_and_other_times_are_not() -> None:
    rows = [
        counted("other bot", bot="Count"),
        counted("before", -TOLERANCE - 1),
        counted("behind", 1000 + TOLERANCE + 1),
    ]

    found = reconcile([request()], rows, SOON)

    assert found.found == ()
    assert found.opens == (request(),)
    assert set(found.rows) == set(rows)


@pytest.mark.parametrize("at", [-TOLERANCE, -NEAR, 0, 1000, 1000 + TOLERANCE])
def test_clocks_may_differ(at: int) -> None:
    assert pairs(reconcile([request()], [counted(at=at)], SOON)) == {"q": "j"}


def test_a_bot_may_have_several_names() -> None:
    names = {"claude-haiku-4.5": "haiku", "Claude-Haiku-4.5": "haiku"}

    found = reconcile(
        [request(bot="claude-haiku-4.5")],
        [counted(bot="Claude-Haiku-4.5")],
        SOON,
        names.__getitem__,
    )

    assert pairs(found) == {"q": "j"}


def test_tokens_tell_calls_at_the_same_time_apart() -> None:
    opens = [request("a"), request("b", prompt_tokens=20), request("c", completion_tokens=7)]
    rows = [counted("3", output=7), counted("1"), counted("2", input=20)]

    found = reconcile(opens, rows, SOON)

    assert pairs(found) == {"1": "a", "2": "b", "3": "c"}
    assert reasons(found) == ["matched"] * 3


def test_equal_requests_share_their_rows_and_the_sum_is_right() -> None:
    opens = [request(job, settled=3) for job in "abc"]
    rows = [counted(str(points), points=points) for points in (3, 4, 5)]

    found = reconcile(opens, rows, SOON)

    assert sorted(pairs(found).values()) == ["a", "b", "c"]
    assert reasons(found) == ["shared"] * 3
    assert sum(each.points for each in found.found) == 12 - 9


def test_the_time_tells_equal_requests_apart_if_they_are_far_from_each_other() -> None:
    opens = [request("a"), request("b", 20_000)]
    rows = [counted("2", 20_100), counted("1", 100)]

    found = reconcile(opens, rows, SOON)

    assert pairs(found) == {"1": "a", "2": "b"}
    assert reasons(found) == ["matched"] * 2


def test_without_a_breakdown_points_tell_calls_apart() -> None:
    opens = [request("a", settled=7), request("b", settled=9)]

    assert pairs(reconcile(opens, [row("1", points=9), row("2", points=7)], SOON)) == {
        "1": "b",
        "2": "a",
    }


def test_a_row_without_a_breakdown_is_matched_by_its_time() -> None:
    (only,) = reconcile([request()], [row(points=99)], SOON).found

    assert (only.points, only.reason) == (96, "matched")


@pytest.mark.parametrize("basis", ["estimate", "usage"])
def test_a_request_whose_tokens_nobody_told_is_matched_by_its_time(basis: str) -> None:
    uncounted = request(basis=basis, prompt_tokens=0, completion_tokens=0)

    assert pairs(reconcile([uncounted], [counted()], SOON)) == {"q": "j"}


@pytest.mark.parametrize(
    "tokens",
    [
        {"input": 10},
        {"input": 10, "written": 4, "read": 6},
        {"input": 6, "written": 4},
        {"input": 4, "read": 6},
        {"input": 1, "written": 3, "read": 6},
        {"input": 4},
    ],
)
def test_the_prompt_may_be_counted_with_and_without_what_was_cached(tokens: Any) -> None:
    # Another request with other tokens would otherwise be as good.
    opens = [request("j", cached_tokens=6), request("other", prompt_tokens=77)]

    assert pairs(reconcile(opens, [counted(**tokens)], SOON)) == {"q": "j"}


def test_what_no_key_was_charged_for_is_none_of_ours() -> None:
    found = reconcile([request()], [counted(is_call=False)], SOON)

    assert found.found == (Found(counted(is_call=False), None, points=4, reason="unmatched"),)
    assert found.opens == (request(),)


def test_a_row_waits_for_its_request_to_end() -> None:
    seen = reconcile([], [counted()], SOON)
    assert seen.rows == (counted(),)

    then = reconcile([request(duration=600_000)], seen.rows, SOON + 600_000)

    assert pairs(then) == {"q": "j"}


def test_a_row_that_has_waited_too_long_is_a_stranger_s() -> None:
    found = reconcile([], [counted()], START + ROW_LIFE + 1)

    assert pairs(found) == {"q": ""}
    assert reasons(found) == ["unmatched"]
    assert found.rows == ()


def test_a_late_row_finds_its_request() -> None:
    seen = reconcile([request()], [], SOON)
    assert seen.opens == (request(),)

    assert pairs(reconcile(seen.opens, [counted()], SOON + 3600_000)) == {"q": "j"}


def test_tokens_that_differ_are_taken_only_if_nothing_better_comes() -> None:
    odd = counted(output=6)
    assert reconcile([request()], [odd], START + 1000 + PATIENCE).found == ()

    found = reconcile([request()], [odd], START + 1001 + PATIENCE)

    assert pairs(found) == {"q": "j"}
    assert reasons(found) == ["shared"]


def test_what_was_held_to_be_free_may_turn_out_not_to_be() -> None:
    free = request(basis="free", settled=0, calls=0)
    assert reconcile([free], [counted()], SOON).found == ()

    (only,) = reconcile([free], [counted()], LATER).found

    assert only.points == 4


def test_a_free_request_takes_no_row_from_one_that_is_charged() -> None:
    opens = [request("free", basis="free", settled=0), request("paid")]

    assert pairs(reconcile(opens, [row()], LATER)) == {"q": "paid"}


def test_a_request_that_was_called_twice_gets_the_rows_of_both_calls() -> None:
    twice = request(sent=START + 30_000, duration=40_000, calls=2, settled=8)
    rows = [counted("first", 100), counted("second", 30_100)]

    seen = reconcile([twice], rows, SOON)
    then = reconcile(seen.opens, seen.rows, LATER + 40_000)

    assert len(seen.found) == len(then.found) == 1
    assert pairs(seen) | pairs(then) == {"first": "j", "second": "j"}
    # 4 + 4 points, as were settled.
    assert sum(each.points for each in (*seen.found, *then.found)) == 0
    assert then.opens == ()


def test_a_request_that_was_called_twice_may_be_charged_once() -> None:
    twice = request(calls=2, settled=8)

    seen = reconcile([twice], [counted()], SOON)
    then = reconcile(seen.opens, seen.rows, START + 1001 + REQUEST_LIFE)

    assert [each.points for each in seen.found] == [-4]
    assert (then.found, then.opens, then.lost) == ((), (), 0)


def test_a_request_without_a_row_for_a_day_stays_as_it_was_settled() -> None:
    ended = START + 1000

    assert reconcile([request()], [], ended + REQUEST_LIFE).opens == (request(),)
    found = reconcile([request()], [], ended + REQUEST_LIFE + 1)

    assert (found.found, found.opens, found.lost) == ((), (), 1)


def test_what_poe_may_have_charged_and_has_not_is_refunded_after_a_day() -> None:
    ended = START + 1000
    unknown = request(basis="estimate", settled=9)
    day = ended + REQUEST_LIFE + 1

    assert reconcile([unknown], [], day - 1, newest=ended + 1).found == ()
    found = reconcile([unknown], [], day, newest=ended + 1)

    assert found.found == (Found(None, unknown.request, points=-9, reason="missing"),)
    assert (found.opens, found.lost) == ((), 0)
    # A history without a row that is newer may be one that has stopped.
    assert (reconcile([unknown], [], day, newest=ended).found, found.lost) == ((), 0)


def test_nobody_misses_the_row_of_what_was_free() -> None:
    found = reconcile([request(basis="free", settled=0)], [], START + 1001 + REQUEST_LIFE)

    assert (found.opens, found.lost) == ((), 0)


def test_the_history_is_read_as_far_back_as_the_oldest_call_that_is_new() -> None:
    opens = [request("a", 5000), request("b", 2000)]

    assert wanted_since(opens, 0, NOW) == START + 2000 - TOLERANCE
    assert wanted_since([], 0, NOW) is None
    assert wanted_since([request(basis="free", settled=0)], 0, NOW) is None
    assert wanted_since([request(settled=0)], 0, NOW) is None
    assert wanted_since([request(settled=0, basis="estimate")], 0, NOW) == START - TOLERANCE


def test_a_row_that_is_missing_is_looked_for_ever_more_seldom() -> None:
    ended, late = START + 1000, request()

    looks, looked = [], ended + 60_000
    while (due := next_look([late], [], looked)) is not None and due > looked:
        assert wanted_since([late], looked, due - 1) is None
        assert wanted_since([late], looked, due) == START - TOLERANCE
        looked = due
        looks.append((due - ended) // 60_000)

    assert looks == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440]
    assert next_look([], [row()], looked) == START + ROW_LIFE
    assert next_look([], [], looked) is None


_CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "bot": st.sampled_from(["Echo", "Count"]),
            "at": st.integers(0, 20_000),
            "duration": st.integers(0, 20_000),
            "tokens": st.tuples(st.integers(1, 3), st.integers(1, 3)),
            "points": st.integers(0, 3),
            "off": st.integers(-1, 1),
            "told": st.booleans(),
            "broken_down": st.booleans(),
        }
    ),
    max_size=12,
)


def _told(calls: list[dict[str, Any]]) -> tuple[list[Open], list[Row]]:
    opens, rows = [], []
    for number, call in enumerate(calls):
        put_in, put_out = call["tokens"]
        opens.append(
            request(
                f"j{number}",
                call["at"],
                bot=call["bot"],
                duration=call["duration"],
                prompt_tokens=put_in if call["told"] else 0,
                completion_tokens=put_out if call["told"] else 0,
                # Poe may round in another way than we do.
                settled=max(call["points"] + call["off"], 0),
                basis="usage" if call["told"] else "estimate",
            )
        )
        tokens = {"input": put_in, "output": put_out} if call["broken_down"] else {}
        rows.append(row(f"q{number}", call["at"], call["points"], bot=call["bot"], **tokens))
    return opens, rows


@given(_CALLS, st.data())
def test_the_order_in_which_they_come_does_not_matter(
    calls: list[dict[str, Any]], data: st.DataObject
) -> None:
    opens, rows = _told(calls)

    one = reconcile(opens, rows, SOON)
    other = reconcile(
        data.draw(st.permutations(opens)), data.draw(st.permutations([*rows, *rows])), SOON
    )

    assert set(other.found) == set(one.found)
    assert set(other.opens) == set(one.opens)
    assert set(other.rows) == set(one.rows)


@given(_CALLS, st.data())
def test_in_the_end_the_sum_is_poe_s_own_however_rows_come(
    calls: list[dict[str, Any]], data: st.DataObject
) -> None:
    # given all calls and their rows, which come one after the other, some late
    opens, rows = _told(calls)
    mixed: list[Open | Row] = [*opens, *rows]
    events = data.draw(st.permutations(mixed))
    last = Reconciled((), (), (), 0)
    found: list[Found] = []

    # when they are reconciled in between
    for event in events:
        last = (
            reconcile(last.opens, [*last.rows, event], SOON)
            if isinstance(event, Row)
            else reconcile([*last.opens, event], last.rows, SOON)
        )
        found += last.found
    last = reconcile(last.opens, last.rows, LATER)
    found += last.found

    # then each row is one request's, and what was settled is corrected to what Poe says
    assert sorted(each.row.query for each in found if each.row) == sorted(r.query for r in rows)
    assert sorted(each.request.job for each in found if each.request) == sorted(
        each.request.job for each in opens
    )
    settled = sum(each.request.settled for each in opens)
    assert settled + sum(each.points for each in found) == sum(each.points for each in rows)
    assert (last.opens, last.rows) == ((), ())


@given(_CALLS, st.integers(0, 3))
def test_calls_of_different_tokens_are_never_mistaken(
    calls: list[dict[str, Any]], strangers: int
) -> None:
    known = [call | {"told": True, "broken_down": True} for call in calls]
    apart = {(call["bot"], call["tokens"]): call for call in known}
    opens, rows = _told(list(apart.values()))
    others = [counted(f"s{n}", n, input=50 + n) for n in range(strangers)]

    found = reconcile(opens, [*others, *rows], SOON)

    assert pairs(found) == {f"q{n}": f"j{n}" for n in range(len(rows))}
    assert set(reasons(found)) <= {"matched"}
    assert set(found.rows) == set(others)


@given(
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 3)), max_size=6),
    st.data(),
)
def test_no_retry_is_charged_to_anyone_twice(
    jobs: list[tuple[int, int]], data: st.DataObject
) -> None:
    # given jobs that were called up to three times, of which Poe has charged some
    opens, rows = [], []
    for number, (at, calls) in enumerate(jobs):
        opens.append(request(f"j{number}", at, duration=1000, calls=calls, settled=4 * calls))
        charged = data.draw(st.integers(0, calls))
        rows += [counted(f"q{number}-{n}", at + n, 4) for n in range(charged)]

    # when
    first = reconcile(opens, rows, SOON)
    then = reconcile(first.opens, first.rows, LATER)

    # then every row counts once, and no job has more rows than calls
    found = [*first.found, *then.found]
    assert sorted(each.row.query for each in found if each.row) == sorted(r.query for r in rows)
    for number, (_, calls) in enumerate(jobs):
        own = [each for each in found if each.request and each.request.job == f"j{number}"]
        assert len(own) <= calls
        if own:
            assert 4 * calls + sum(each.points for each in own) == 4 * len(own)
