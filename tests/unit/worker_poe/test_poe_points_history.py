"""Pages of Poe's points history."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.poe.faults import Fault, FaultKind
from worker.poe.points_history import Page, Row, read_page

ROW = {
    "creation_time": 1_800_000_000_123_456,
    "bot_name": "Claude-Sonnet-4.6",
    "query_id": "q1",
    "usage_type": "API",
    "cost_points": 447,
    "cost_usd": "0.0135",
    "cost_breakdown_in_points": {
        "Input": "450 points (5290 tokens)",
        "Output": "42 points (99 tokens)",
        "Cache write": "0 points (12 tokens)",
        "Cache discount": "-45 points (1,000 tokens)",
        "Total": "447 points",
    },
    "api_key_name": "pool",
    "chat_name": None,
}
READ = Row("q1", 1_800_000_000_123, "Claude-Sonnet-4.6", 447, True, 5290, 99, 12, 1000)


def page(*rows: Any, **fields: Any) -> bytes:
    return msgspec.json.encode({"has_more": False, "length": len(rows), "data": rows, **fields})


def row(**fields: Any) -> Row:
    (read,) = read_page(page(ROW | fields)).rows
    return read


def test_reads_a_row_as_poe_writes_it() -> None:
    assert read_page(page(ROW)) == Page((READ,))


def test_the_next_page_follows_the_last_row() -> None:
    assert read_page(page(ROW, ROW | {"query_id": "q2"}, has_more=True)).next == "q2"
    # A row that cannot be read is still the last one.
    assert read_page(page(ROW, {"query_id": "q3"}, has_more=True)) == Page((READ,), "q3")
    assert read_page(page(has_more=True)).next == ""


@pytest.mark.parametrize("missing", ["api_key_name", "chat_name", "cost_usd", "usage_type"])
def test_what_is_not_needed_may_be_missing(missing: str) -> None:
    assert read_page(page({k: v for k, v in ROW.items() if k != missing})).rows == (READ,)


@pytest.mark.parametrize("at", [1_800_000_000_123_456, 1_800_000_000_123, 1_800_000_000])
def test_times_may_be_in_any_unit(at: int) -> None:
    assert row(creation_time=at).at // 1000 == 1_800_000_000


@pytest.mark.parametrize("usage", ["Chat", "Canvas App", "Something new"])
def test_only_api_keys_make_calls(usage: str) -> None:
    assert not row(usage_type=usage).is_call


@pytest.mark.parametrize(
    "breakdown",
    [None, {}, [], "Total", {"Total": "447 points"}, {"Input": "450 points", "Output": 42}],
)
def test_without_a_breakdown_tokens_are_not_known(breakdown: Any) -> None:
    read = row(cost_breakdown_in_points=breakdown)

    assert (read.input, read.output, read.written, read.read) == (None, None, 0, 0)
    assert read.points == 447


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("1 point (1 token)", 1), ("0.4 points (7 tokens)", 7), ("9 points ( 1,234 tokens )", 1234)],
)
def test_reads_token_counts(text: str, tokens: int) -> None:
    assert row(cost_breakdown_in_points={"input": text}).input == tokens


@pytest.mark.parametrize(
    "fields",
    [
        {"query_id": ""},
        {"query_id": None},
        {"query_id": "q" * 201},
        {"creation_time": None},
        {"creation_time": 0},
        {"creation_time": "yesterday"},
        {"cost_points": None},
        {"cost_points": "many"},
        {"cost_points": True},
        {"cost_points": 10**16},
    ],
)
def test_a_row_that_cannot_be_counted_is_skipped(fields: dict[str, Any]) -> None:
    assert read_page(page(ROW | fields, ROW)).rows == (READ,)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data":null}', b"<html>"])
def test_anything_else_is_no_page(body: bytes) -> None:
    with pytest.raises(Fault) as raised:
        read_page(body)

    assert raised.value.kind is FaultKind.PROTOCOL


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(ROW)), inner)
    ),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(ROW)), _JSON) | _JSON, max_size=4))
def test_junk_never_fails_what_is_good(junk: list[Any]) -> None:
    read = read_page(msgspec.json.encode({"data": [*junk, ROW]}))

    assert read.rows[-1] == READ
    for each in read.rows:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(each), type=Row) == each


def test_a_count_that_no_integer_of_msgpack_holds_is_not_known() -> None:
    text = f"1 points ({2**64:,} tokens)"
    body = {"data": [{**ROW, "cost_breakdown_in_points": {"Input": text}}]}

    (row,) = read_page(msgspec.json.encode(body)).rows

    assert row.input is None


@pytest.mark.parametrize(
    ("date", "written"), [("Thu, 01 Jan 1970 00:00:07 GMT", 7000), ("", None), ("soon", None)]
)
def test_a_page_says_when_it_was_written(date: str, written: int | None) -> None:
    assert read_page(b'{"data":[]}', date).written == written
