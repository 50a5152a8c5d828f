"""The content of attachments leaves the messages."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest

from contract.messages import MediaPart, Message, TextPart
from gateway.exchange.blobs import detached

DATA = bytes(range(256))
DIGEST = sha256(DATA).hexdigest()


def url(data: bytes, head: str = "data:image/png;base64") -> str:
    return f"{head},{b64encode(data).decode()}"


@pytest.mark.parametrize("data", [b"x", b"xy", b"xyz", DATA], ids=len)
def test_the_content_is_named_by_its_digest(data: bytes) -> None:
    part = MediaPart("image", url(data), "image/png", "cat.png", "low")

    (message,), blobs = detached((Message("user", (TextPart("Look."), part)),))

    digest = sha256(data).hexdigest()
    named = MediaPart("image", "", "image/png", "cat.png", "low", digest, len(data))
    assert message.content == (TextPart("Look."), named)
    assert blobs == {digest: data}


def test_equal_contents_are_one_however_they_are_declared() -> None:
    picture = MediaPart("image", url(DATA), "image/png")
    file = MediaPart("file", url(DATA, "DATA:text/plain;charset=x;base64"), "text/plain")

    messages, blobs = detached((Message("user", (picture,)), Message("user", (file, picture))))

    assert [part.digest for message in messages for part in message.media] == [DIGEST] * 3
    assert blobs == {DIGEST: DATA}


def test_what_holds_no_data_stays_as_it_is() -> None:
    linked = MediaPart("image", "https://example.com/data:,cat.png", "image/png")
    messages = (Message("system", "data:,x"), Message("user", (TextPart("data:,x"), linked)))

    assert detached(messages) == (messages, {})
