"""One question to a gateway, and its answer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.trial import MOST_BYTES, Question, Reading, cost, refused
from contract.ledger import Request

STREAM = (
    b": keep-alive queued position=3 eta=12s\n\n"
    b": keep-alive\n\n"
    b'data: {"id":"chatcmpl-0a1b","choices":[{"delta":{"role":"assistant"}}]}\n\n'
    b'data: {"id":"chatcmpl-0a1b","choices":[{"delta":{"reasoning_content":"Hm"}}]}\n\n'
    b'data: {"id":"chatcmpl-0a1b","choices":[{"delta":{"content":"H\xc3\xa9llo"}}]}\r\n\r\n'
    b'data: {"id":"chatcmpl-0a1b","choices":[{"delta":{},"finish_reason":"length"}]}\n\n'
    b'data: {"id":"chatcmpl-0a1b","choices":[],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)
TOLD = [
    {"kind": "queued", "position": 3, "eta": 12},
    {"kind": "thought", "text": "Hm"},
    {"kind": "text", "text": "Héllo"},
    {"kind": "end", "reason": "length"},
    {"kind": "tokens", "prompt": 3, "completion": 2},
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
def test_where_the_network_cuts_the_stream_does_not_matter(cuts: list[int]) -> None:
    reading, edges = Reading(), [0, *cuts, len(STREAM)]

    told = [each for start, end in pairwise(edges) for each in reading.feed(STREAM[start:end])]

    assert told == TOLD
    assert reading.job == "0a1b"


def test_an_error_within_the_stream_is_told() -> None:
    chunk = b'data: {"error":{"message":"gone","type":"server_error","code":null}}\n\n'

    (told,) = Reading().feed(chunk)

    assert told == {"kind": "error", "status": 0, "code": "server_error", "message": "gone"}


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error":{"message":"No.","code":"c","type":"t"}}', "c", "No."),
        (b"<html>", "", "The gateway gave no reason."),
        (b"", "", "The gateway gave no reason."),
        (b"[" * 5000, "", "The gateway gave no reason."),
        (b'{"error":"text"}', "", "The gateway gave no reason."),
    ],
)
def test_a_refusal_is_told_whatever_its_body_is(body: bytes, code: str, message: str) -> None:
    told = refused(418, body)

    assert told == {"kind": "error", "status": 418, "code": code, "message": message}


@pytest.mark.parametrize(
    "data", [b'data: {"broken\n', b'data: {"choices":5}\n', b'data: {"id":null}\n']
)
def test_what_is_no_json_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        list(Reading().feed(data))


def test_an_endless_line_is_not_kept() -> None:
    reading = Reading()

    with pytest.raises(ValueError):
        list(reading.feed(b"a" * (MOST_BYTES + 1)))


def test_the_gateway_is_asked_for_a_stream_with_its_usage() -> None:
    body = Question(model="m", prompt="p", system="s").body()

    assert body["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "p"},
    ]
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert len(Question(model="m", prompt="p").body()["messages"]) == 1


@pytest.mark.parametrize(
    "given_",
    [
        {"model": "", "prompt": "p"},
        {"model": "m", "prompt": ""},
        {"model": "m", "prompt": "p", "more": 1},
        {"model": "m", "prompt": "p" * 15_001},
    ],
)
def test_a_question_without_what_it_needs_is_none(given_: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given_, Question)


def test_the_secret_is_not_shown() -> None:
    assert "canary" not in repr(Question(model="m", prompt="canary-p", secret="canary-s"))


def test_what_it_cost_is_told() -> None:
    record = Request(job="j", client="c", estimated=7, settled=5, account="a", wait=1500)

    told = cost(record)

    assert (told["estimated"], told["settled"], told["account"]) == (7, 5, "a")
    assert (told["wait"], told["outcome"]) == (1.5, "finished")
