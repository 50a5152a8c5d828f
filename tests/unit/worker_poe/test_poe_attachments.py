"""Parts of messages as attachments."""

from __future__ import annotations

import base64
from typing import Literal

import pytest

from contract.messages import MediaPart, Message, TextPart
from worker.poe.attachments import (
    MAX_ATTACHMENTS,
    MAX_SIZE,
    Attachment,
    attachment,
    attachments_in,
    data_of,
    is_poes_own,
)
from worker.poe.faults import Fault, FaultKind

UPLOADED = "https://pfst.cf2.poecdn.net/base/file/abc"


def image(url: str) -> MediaPart:
    return MediaPart("image", url)


def test_each_part_is_found_once_with_its_place() -> None:
    cat, dog = image("https://x/cat.png"), image("https://x/dog.png")

    assert attachments_in(
        [
            Message("user", "Hi"),
            Message("user", (TextPart("Look:"), cat, TextPart("and"), dog)),
            Message("user", (cat,)),
        ]
    ) == {cat: "Attachment 1 of message 2", dog: "Attachment 2 of message 2"}


def test_there_is_a_most_of_attachments_and_one_more_is_said() -> None:
    parts = tuple(image(f"https://x/{n}.png") for n in range(MAX_ATTACHMENTS + 1))

    assert len(attachments_in([Message("user", parts[:-1])])) == MAX_ATTACHMENTS
    with pytest.raises(Fault, match="The request has 101 attachments, more than 100") as caught:
        attachments_in([Message("user", parts)])

    assert caught.value.kind is FaultKind.BAD_REQUEST
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("url", "own"),
    [
        pytest.param(UPLOADED, True, id="an upload"),
        pytest.param("https://PFST.CF2.POECDN.NET/x", True, id="in capitals"),
        pytest.param("http://pfst.cf2.poecdn.net/x", False, id="unencrypted"),
        pytest.param("https://poecdn.net.example.com/x", False, id="in front of another name"),
        pytest.param("https://evilpoecdn.net/x", False, id="at the end of another name"),
        pytest.param("https://x.poecdn.net@example.com/", False, id="as a user's name"),
        pytest.param("https://example.com/?.poecdn.net", False, id="in a query"),
        pytest.param("https://[x.poecdn.net/", False, id="malformed"),
        pytest.param("data:text/plain,x", False, id="data"),
    ],
)
def test_only_poes_own_files_are_attached_as_they_are(url: str, own: bool) -> None:
    assert is_poes_own(url) is own


@pytest.mark.parametrize(
    ("part", "name", "media_type"),
    [
        pytest.param(image("data:image/jpeg;base64,AA"), "image.jpg", "image/jpeg", id="data"),
        pytest.param(image("data:;base64,AA"), "image.png", "image/png", id="data of no type"),
        pytest.param(
            MediaPart("audio", "data:audio/wav;base64,AA"), "audio.wav", "audio/wav", id="audio"
        ),
        pytest.param(
            MediaPart("file", "data:application/pdf;base64,AA", name="report.pdf"),
            "report.pdf",
            "application/pdf",
            id="a name",
        ),
        pytest.param(
            MediaPart("file", "data:text/plain;charset=utf-8,hi", "text/markdown"),
            "file.md",
            "text/markdown",
            id="a type of its own",
        ),
        pytest.param(
            MediaPart("file", "data:application/vnd.something-long,hi"),
            "file",
            "application/vnd.something-long",
            id="an unknown type",
        ),
        pytest.param(
            image("https://x/a%20b/my%20cat.webp?size=1"),
            "my cat.webp",
            "image/webp",
            id="a URL's path",
        ),
        pytest.param(image("https://x/"), "image.png", "image/png", id="a URL without a path"),
        pytest.param(
            MediaPart("file", "https://x/y"), "y", "application/octet-stream", id="no type at all"
        ),
        pytest.param(image("https://[x/cat.png"), "image.png", "image/png", id="no URL"),
    ],
)
def test_every_attachment_has_a_name_and_a_type(
    part: MediaPart, name: str, media_type: str
) -> None:
    assert attachment(part, UPLOADED) == Attachment(UPLOADED, media_type, name)


def test_poe_knows_the_type_best() -> None:
    assert attachment(image("https://x/a.png"), UPLOADED, "image/gif").content_type == "image/gif"


@pytest.mark.parametrize(
    ("url", "data"),
    [
        pytest.param("data:text/plain;base64,aGVsbG8=", b"hello", id="base64"),
        pytest.param("DATA:text/plain;BASE64,aGVsbG8=", b"hello", id="in capitals"),
        pytest.param("data:text/plain;charset=utf-8;base64,aGVsbG8", b"hello", id="unpadded"),
        pytest.param("data:;base64,aGVs\r\n bG8=\n", b"hello", id="wrapped"),
        pytest.param("data:;base64,aGVsbG8%3D", b"hello", id="escaped padding"),
        pytest.param("data:,a%20b%FF,c", b"a b\xff,c", id="escaped bytes"),
        pytest.param("data:,", b"", id="nothing"),
    ],
)
def test_data_is_decoded(url: str, data: bytes) -> None:
    assert data_of(url) == data


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("data:image/png;base64", "no comma", id="no comma"),
        pytest.param("data:image/png;base64,AA!A", "base64 is malformed", id="a foreign letter"),
        pytest.param("data:image/png;base64,AA=A", "base64 is malformed", id="padding within"),
        pytest.param("data:image/png;base64,AAAAA", "base64 is malformed", id="cut"),
    ],
)
def test_malformed_data_is_the_requests_fault(url: str, says: str) -> None:
    with pytest.raises(Fault, match=says) as caught:
        data_of(url)

    assert caught.value.kind is FaultKind.BAD_REQUEST


@pytest.mark.parametrize("form", ["base64", "plain"])
def test_data_has_a_largest_size(form: Literal["base64", "plain"]) -> None:
    def url(size: int) -> str:
        if form == "plain":
            return "data:," + "x" * size
        return "data:;base64," + base64.b64encode(bytes(size)).decode()

    assert len(data_of(url(MAX_SIZE))) == MAX_SIZE
    with pytest.raises(Fault, match="larger than 20 MiB"):
        data_of(url(MAX_SIZE + 1))
