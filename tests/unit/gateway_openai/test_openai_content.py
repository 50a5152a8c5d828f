"""Messages that hold more than text, in the forms that clients send them in."""

import base64
import json
from typing import Any

import pytest

from contract.messages import MediaPart, Part, TextPart
from gateway.openai.chat_request import parse_chat
from gateway.problems import Problem
from gateway.render.content import MAX_MEDIA, MAX_SIZE, MAX_URL
from tests.support.openai_answers import code_of, status_of

PNG = "data:image/png;base64,AAAA"
URL = "https://example.com/a.png"


def content_of(*parts: dict[str, Any], role: str = "user") -> str | tuple[Part, ...]:
    body = {"model": "m", "messages": [{"role": role, "content": list(parts)}]}
    (message,) = parse_chat(json.dumps(body).encode()).messages
    return message.content


def refusal(*parts: dict[str, Any]) -> Problem:
    with pytest.raises(Problem) as caught:
        content_of({"type": "text", "text": "Look:"}, *parts)
    assert status_of(caught.value) == 400
    return caught.value


@pytest.mark.parametrize(
    ("part", "media"),
    [
        pytest.param(
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            MediaPart("image", PNG, "image/png", detail="low"),
            id="image by its data",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": URL, "detail": "magnificent"}},
            MediaPart("image", URL),
            id="image by its URL, unknown detail",
        ),
        pytest.param(
            {"type": "image_url", "image_url": "HTTP://example.com/a?b#c"},
            MediaPart("image", "HTTP://example.com/a?b#c"),
            id="image by a mere string",
        ),
        pytest.param(
            {"type": "input_image", "image_url": URL, "detail": "high", "file_id": None},
            MediaPart("image", URL, detail="high"),
            id="image of the Responses API",
        ),
        pytest.param(
            {"type": "image_url", "image_url": "DATA:IMAGE/PNG;name=a.png;BASE64,AAA="},
            MediaPart("image", "DATA:IMAGE/PNG;name=a.png;BASE64,AAA=", "image/png"),
            id="data in capitals, with a parameter",
        ),
        pytest.param(
            {"type": "image_url", "image_url": "data:;base64,AA=="},
            MediaPart("image", "data:;base64,AA=="),
            id="data without a type",
        ),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,AAAA"}},
            MediaPart("file", "data:application/pdf;base64,AAAA", "application/pdf"),
            id="a PDF that is said to be an image",
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            MediaPart("audio", "data:audio/mpeg;base64,AAAA", "audio/mpeg"),
            id="mp3",
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "WAV"}},
            MediaPart("audio", "data:audio/wav;base64,AAAA", "audio/wav"),
            id="wav",
        ),
        pytest.param(
            {
                "type": "input_audio",
                "input_audio": {"data": "data:audio/ogg;base64,AAAA", "format": "ogg"},
            },
            MediaPart("audio", "data:audio/ogg;base64,AAAA", "audio/ogg"),
            id="audio as a URL already",
        ),
        pytest.param(
            {
                "type": "file",
                "file": {
                    "filename": "a\n.pdf",
                    "file_data": "data:application/pdf;base64,AAAA",
                    "file_id": None,
                },
            },
            MediaPart("file", "data:application/pdf;base64,AAAA", "application/pdf", "a.pdf"),
            id="file",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.txt", "file_data": "AAAA"}},
            MediaPart("file", "data:text/plain;base64,AAAA", "text/plain", "a.txt"),
            id="file in bare base64",
        ),
        pytest.param(
            {"type": "file", "file": {"file_data": "AAAA"}},
            MediaPart(
                "file", "data:application/octet-stream;base64,AAAA", "application/octet-stream"
            ),
            id="file of no known type",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.png", "file_data": PNG}},
            MediaPart("image", PNG, "image/png", "a.png"),
            id="file that is an image",
        ),
        pytest.param(
            {"type": "file", "file": {"filename": "a.mp3", "file_url": "https://e.com/a.mp3"}},
            MediaPart("audio", "https://e.com/a.mp3", "audio/mpeg", "a.mp3"),
            id="recording by its URL",
        ),
        pytest.param(
            {"type": "input_file", "filename": "a.pdf", "file_url": "https://e.com/a"},
            MediaPart("file", "https://e.com/a", "application/pdf", "a.pdf"),
            id="file of the Responses API",
        ),
    ],
)
@pytest.mark.parametrize("role", ["user", "tool", "system", "assistant"])
def test_media_is_passed_on_from_any_role(
    part: dict[str, Any], media: MediaPart, role: str
) -> None:
    part = part | {"cache_control": {"type": "ephemeral"}}
    text = {"type": "text", "text": "Look:"}

    assert content_of(text, part, text, role=role) == (TextPart("Look:"), media, TextPart("Look:"))


def test_text_alone_stays_a_string() -> None:
    assert content_of({"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}) == "a\nb"


@pytest.mark.parametrize(
    ("part", "place"),
    [
        pytest.param({"type": "image_url"}, "image_url", id="no image"),
        pytest.param({"type": "image_url", "image_url": {}}, "image_url.url", id="no URL"),
        pytest.param({"type": "image_url", "image_url": 5}, "image_url", id="a number"),
        pytest.param({"type": "image_url", "image_url": ""}, "image_url", id="empty"),
        pytest.param(
            {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
            "image_url.url",
            id="a file of ours",
        ),
        pytest.param({"type": "image_url", "image_url": "a.png"}, "image_url", id="relative"),
        pytest.param({"type": "image_url", "image_url": "https://"}, "image_url", id="no host"),
        pytest.param(
            {"type": "image_url", "image_url": "https://a.com/\u0007"}, "image_url", id="control"
        ),
        pytest.param({"type": "image_url", "image_url": "https://a b"}, "image_url", id="space"),
        pytest.param(
            {"type": "image_url", "image_url": "https://a/" + "x" * MAX_URL},
            "image_url",
            id="a long URL",
        ),
        pytest.param({"type": "image_url", "image_url": "data:x"}, "image_url", id="no data"),
        pytest.param(
            {"type": "image_url", "image_url": "data:text/plain,hello"},
            "image_url",
            id="not in base64",
        ),
        pytest.param(
            {"type": "image_url", "image_url": "data:image/png;base64,"}, "image_url", id="none"
        ),
        pytest.param(
            {"type": "image_url", "image_url": PNG + "A"}, "image_url", id="a wrong length"
        ),
        pytest.param({"type": "image_url", "image_url": PNG + "AA=A"}, "image_url", id="padding"),
        pytest.param({"type": "image_url", "image_url": PNG + "A==="}, "image_url", id="too much"),
        pytest.param({"type": "image_url", "image_url": PNG + "éé"}, "image_url", id="not ASCII"),
        pytest.param({"type": "input_image", "file_id": "f-1"}, "file_id", id="image by its id"),
        pytest.param({"type": "input_audio"}, "input_audio", id="no audio"),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": "AAAA"}},
            "input_audio.format",
            id="no format",
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "a/b"}},
            "input_audio.format",
            id="no such format",
        ),
        pytest.param(
            {"type": "input_audio", "input_audio": {"data": "???", "format": "mp3"}},
            "input_audio.data",
            id="no base64",
        ),
        pytest.param({"type": "file"}, "file", id="no file"),
        pytest.param({"type": "file", "file": {}}, "file.file_data", id="nothing of a file"),
        pytest.param({"type": "file", "file": {"file_id": "f"}}, "file.file_id", id="by its id"),
        pytest.param(
            {"type": "file", "file": {"file_data": "?"}}, "file.file_data", id="no such data"
        ),
        pytest.param({"type": "file", "file": {"file_url": "?"}}, "file.file_url", id="no URL"),
        pytest.param({"type": "input_file", "file_id": "f"}, "file_id", id="by its id, flat"),
    ],
)
def test_what_is_no_media_is_told_with_its_place(part: dict[str, Any], place: str) -> None:
    error = refusal(part)

    assert error.param == f"messages[0].content[1].{place}"
    assert len(error.message) < 300


def test_a_part_of_another_type_is_refused_by_name() -> None:
    error = refusal({"type": "hologram"})

    assert (error.param, code_of(error)) == ("messages[0].content[1]", "unsupported_content")
    assert "'hologram'" in error.message


def test_all_messages_together_hold_so_many_files() -> None:
    image = {"type": "image_url", "image_url": URL}
    messages = [{"role": "user", "content": [image] * 4}] * (MAX_MEDIA // 4)
    body = {"model": "m", "messages": messages}
    assert len(parse_chat(json.dumps(body).encode()).messages) == MAX_MEDIA // 4

    messages.append({"role": "user", "content": [image]})
    with pytest.raises(Problem) as caught:
        parse_chat(json.dumps(body).encode())

    assert caught.value.param == f"messages[{MAX_MEDIA // 4}].content[0]"
    assert code_of(caught.value) == "too_many_files"


@pytest.mark.parametrize(
    ("size", "fits"), [(MAX_SIZE, True), (MAX_SIZE + 1, False), (2 * MAX_SIZE, False)]
)
def test_a_file_is_bounded_by_its_decoded_size(size: int, fits: bool) -> None:
    url = f"data:image/png;base64,{base64.b64encode(bytes(size)).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}

    if fits:
        assert content_of(part) == (MediaPart("image", url, "image/png"),)
    else:
        assert code_of(refusal(part)) == "file_too_large"
