"""Inputs for the targets: what is in a corpus, mutilated."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.targets import Target

Place = tuple[str | int, ...]

_ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**40, 1e308, -0.0, math.inf, math.nan]),
    st.floats(),
    _ANY_TEXT,
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Inputs of one target; those whose corpus is JSON are changed as values too."""
    seeds = [file.read_bytes() for file in target.corpus]
    bodies = [value for value in map(_value, seeds) if isinstance(value, dict)]
    words = st.sampled_from(target.words)
    changed = _mutilated(st.sampled_from([b"", *seeds]), words)
    return changed | _mutilated(_changed(bodies), words, most=1) if bodies else changed


@st.composite
def _mutilated(
    draw: st.DrawFn, seeds: st.SearchStrategy[bytes], words: st.SearchStrategy[bytes], most: int = 8
) -> bytes:
    """Cut, overwrite and insert, at any place."""
    data = draw(seeds)
    places = st.integers(0, 1 << 16)
    lengths = st.integers(0, 64)
    for _ in range(draw(st.integers(0, most))):
        at, length = draw(places) % (len(data) + 1), draw(lengths)
        data = data[:at] + draw(words | st.binary(max_size=8)) + data[at + length :]
    return data


@st.composite
def _changed(draw: st.DrawFn, bodies: list[Any]) -> bytes:
    """Put any value in the place of another, or beside it."""
    body = json.loads(json.dumps(draw(st.sampled_from(bodies))))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(list(_places(body)) or [("model",)]))
        within = body
        for step in way:
            within = within[step]
        if isinstance(last, str):
            last = draw(st.just(last) | _ANY_TEXT)
        within[last] = draw(_VALUES)
    return json.dumps(body, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def _places(value: Any, way: Place = ()) -> Iterator[Place]:
    steps = value if isinstance(value, dict) else range(len(value)) if _is_list(value) else ()
    for step in steps:
        yield (*way, step)
        yield from _places(value[step], (*way, step))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
