"""A request in its client's own words, on its way into the queue."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest

from contract.config import ModelSettings
from contract.messages import MediaPart, Message, Model, Native, TextPart
from gateway.exchange.blobs import Blobs, detached
from gateway.exchange.native import SHORTEST, canonical, is_wanted, without_blobs

LARGE = bytes(range(256)) * 5
OTHER = LARGE[:-3] + b"end"
PATH = "/v1/messages"


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def cut(body: bytes, *base64: str) -> tuple[Native, Blobs]:
    parts = tuple(MediaPart("image", f"data:image/png;base64,{each}") for each in base64)
    sent = (Message("user", "no parts"), Message("user", (TextPart("Look."), *parts)))
    stored, blobs = detached(sent)
    return without_blobs(Native(PATH, (body,)), sent, stored), blobs


def restored(native: Native, blobs: Blobs) -> bytes:
    first, *rest = native.body
    between = [b64encode(blobs[digest]) for digest in native.blobs]
    return first + b"".join(b + piece for b, piece in zip(between, rest, strict=True))


def test_large_base64_is_named_by_its_digest_and_the_rest_stays_as_it_is() -> None:
    body = f'{{ "x": 1.0, "data" : "{b64(LARGE)}", "é":"\\u00e9" }}'.encode()

    native, blobs = cut(body, b64(LARGE))

    assert native.blobs == (sha256(LARGE).hexdigest(),)
    assert native.body == (b'{ "x": 1.0, "data" : "', '", "é":"\\u00e9" }'.encode())
    assert restored(native, blobs) == body


def test_what_is_there_twice_is_cut_twice() -> None:
    body = f'["{b64(LARGE)}","{b64(OTHER)}","{b64(LARGE)}"]'.encode()

    native, blobs = cut(body, b64(LARGE), b64(OTHER), b64(LARGE))

    assert native.body == (b'["', b'","', b'","', b'"]')
    assert restored(native, blobs) == body


def test_one_that_is_the_beginning_of_another_does_not_break_it() -> None:
    longer = LARGE[: len(LARGE) // 3 * 3]
    body = f'["{b64(longer + b"abc")}","{b64(longer)}"]'.encode()

    native, blobs = cut(body, b64(longer), b64(longer + b"abc"))

    assert native.body == (b'["', b'","', b'"]')
    assert restored(native, blobs) == body


@pytest.mark.parametrize(
    "base64",
    [
        pytest.param(b64(LARGE[: SHORTEST // 2]), id="short"),
        # The same content, but not as anyone would encode it again.
        pytest.param(b64(LARGE)[:-2] + chr(ord(b64(LARGE)[-2]) + 1) + "=", id="odd bits"),
    ],
)
def test_other_base64_stays_in_the_body(base64: str) -> None:
    assert b64decode(base64)
    body = f'{{"data":"{base64}"}}'.encode()

    native, _ = cut(body, base64)

    assert native == Native(PATH, (body,))


def test_base64_that_is_written_in_another_way_stays_in_the_body() -> None:
    body = f'{{"data":"{b64(LARGE)}"}}'.replace("/", "\\/").encode()

    native, blobs = cut(body, b64(LARGE))

    assert restored(native, blobs) == body


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param(b'{"a":1,"b":2}', b'{"b": 2, "a": 1}', True, id="order and space"),
        pytest.param(b'{"a":1,"stream":true}', b'{"a":1}', True, id="stream"),
        pytest.param(b'{"a":{"stream":true}}', b'{"a":{}}', False, id="another stream"),
        pytest.param(b'{"a":1}', b'{"a":2}', False, id="a value"),
        pytest.param(b'{"a":%d}' % 2**70, b'{"a":%d}' % 2**71, False, id="great integers"),
        pytest.param(b'{"a":"\\ud83d"}', b'{"a":"\\ude00"}', False, id="half an emoji"),
    ],
)
def test_the_same_request_has_one_canonical_form(one: bytes, other: bytes, is_same: bool) -> None:
    forms = [canonical(Native(PATH, (body,))) for body in (one, other)]

    assert (forms[0] == forms[1]) is is_same


@pytest.mark.parametrize(
    ("endpoints", "protocol", "wanted"),
    [
        pytest.param((PATH,), "auto", True, id="listed"),
        pytest.param(("/v1/chat/completions",), "auto", False, id="not listed"),
        pytest.param((), "openai", True, id="the operator may know better"),
        pytest.param(None, "auto", True, id="in no catalogue of ours"),
    ],
)
def test_it_goes_along_where_a_worker_may_send_it(
    endpoints: tuple[str, ...] | None, protocol: str, wanted: bool
) -> None:
    model = None if endpoints is None else Model("m", 1, "o", endpoints=endpoints)
    setting = ModelSettings(protocol=protocol)  # type: ignore[arg-type]

    assert is_wanted(Native(PATH, ()), model, setting) is wanted
