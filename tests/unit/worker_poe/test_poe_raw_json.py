"""Editing JSON whose bytes are to stay as they are."""

from __future__ import annotations

import msgspec
import pytest

from worker.poe.raw_json import Path, edited, path_to, value_key


@pytest.mark.parametrize(
    ("path", "left"),
    [
        pytest.param(("a",), b'{"b":[{"c": {"d":1, "e" :2.0}},{"c":3}, 4]}', id="a member"),
        pytest.param(
            ("b", "c", "d"), b'{"a": 1.0,"b":[{"c":{"e":2.0}},{"c":3},4]}', id="one within items"
        ),
        pytest.param(("b", "c"), b'{"a": 1.0,"b":[{},{},4]}', id="one of each item"),
        pytest.param(("x",), None, id="none"),
        pytest.param(("a", "b"), None, id="none in a number"),
        pytest.param(("b", "c", "x"), None, id="none within items"),
    ],
)
def test_a_member_is_left_out_and_nothing_else_changes(path: Path, left: bytes | None) -> None:
    body = b'{"a": 1.0,"b":[{"c": {"d":1, "e" :2.0}},{"c":3}, 4]}'

    result = edited(body, without=[path])

    assert msgspec.json.decode(result) == msgspec.json.decode(left or body)


def test_what_is_not_touched_keeps_its_bytes() -> None:
    body = b'{"a": { "x" : 1.00 }, "b": [ 1e2 ,{"c":1} ]}'

    assert edited(body, {"z": b"0"}, without=[("a", "y"), ("b", "d")]) == (
        b'{"a":{ "x" : 1.00 },"b":[ 1e2 ,{"c":1} ],"z":0}'
    )


@pytest.mark.parametrize(
    ("path", "left"),
    [
        pytest.param(("tools", "=b"), b'{"tools":[{"type": "a"},{"type":5},1],"how":{"type":"a"}}'),
        pytest.param(("how", "=a"), b'{"tools":[{"type": "a"},{"type":"b"},{"type":5},1]}'),
        pytest.param(("how", "=b"), None),
    ],
    ids=["an item", "a member", "another type"],
)
def test_objects_of_a_type_are_left_out(path: Path, left: bytes | None) -> None:
    body = b'{"tools":[{"type": "a"},{"type":"b"},{"type":5},1],"how":{"type":"a"}}'

    assert edited(body, without=[path]) == (left or body)


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"a":', b"1"])
def test_only_objects_are_edited(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        edited(body, {"a": b"1"})


REQUEST = {
    "a": {"b": 1},
    "tools": [{"strict": True}, {"type": "search", "input.schema": 1}],
    "x.y": 1,
    "x": {"y": 1},
    "messages": [{"content": [{"text": "t", "cache": {"ttl": 1}}], "content.0.text": 1}],
}


@pytest.mark.parametrize(
    ("place", "path"),
    [
        pytest.param("a", ("a",), id="a field"),
        pytest.param("a.b", ("a", "b"), id="a field within one"),
        pytest.param("tools.0.custom.strict", ("tools", "=", "strict"), id="past a tried type"),
        pytest.param("tools.1", ("tools", "=search"), id="an item"),
        pytest.param("tools.2", None, id="no such item"),
        pytest.param("a.c", None, id="no such field"),
        pytest.param("a.b.c", None, id="nothing within"),
        pytest.param("x.y", None, id="a key with a dot"),
        pytest.param("messages.0.content.0.text", None, id="such a key within"),
    ],
)
def test_a_place_is_a_path_of_keys(place: str, path: Path | None) -> None:
    found = path_to(REQUEST, place)

    assert (found and found.path) == path


@pytest.mark.parametrize(
    ("path", "left"),
    [
        pytest.param(("a", "=x", "c"), b'{"a":[{"type":"x"},{"c":1},{"type":"y","c":1}],"b":0.5}'),
        pytest.param(("a", "=", "c"), b'{"a":[{"type":"x","c":1},{},{"type":"y","c":1}],"b":0.5}'),
        pytest.param(
            ("b", value_key(0.5)), b'{"a":[{"type":"x","c":1},{"c":1},{"type":"y","c":1}]}'
        ),
        pytest.param(("b", value_key(0.6)), None),
    ],
    ids=["of a type", "of no type", "a value", "another value"],
)
def test_members_of_one_type_or_value_are_left_out(path: Path, left: bytes | None) -> None:
    body = b'{"a":[{"type":"x","c":1},{"c":1},{"type":"y","c":1}],"b":0.5}'

    assert edited(body, without=[path]) == (left or body)


def test_many_paths_are_left_out_at_once_and_the_shortest_counts() -> None:
    body = b'{"a":[{"type":"x","c":{"d":1,"e":2},"f":3},{"g": 4}],"b":{"c":1}}'
    paths = [("a", "=x", "c"), ("a", "=x", "c", "d"), ("a", "=x", "f"), ("a", "g"), ("b", "c", "d")]

    assert edited(body, without=paths) == b'{"a":[{"type":"x"},{}],"b":{"c":1}}'
