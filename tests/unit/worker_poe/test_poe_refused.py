"""What an error says that a request can do without."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from worker.poe.raw_json import Path, value_key
from worker.poe.refused import is_forged, refused_fields

CONTENT: list[Any] = [
    {"type": "text", "text": "t", "cache": 1},
    {"type": "hologram"},
    {"of": 2027},
    {"type": "image", "source": {"type": "base64", "media_type": "image/x"}},
]
BODY = msgspec.json.encode(
    {
        "model": "m",
        "messages": [{"role": "user", "content": CONTENT}],
        "tools": [
            {"name": "f", "type": "custom", "defer_loading": True},
            {"type": "computer_2099"},
        ],
        "thinking": {"type": "adaptive", "display": "full"},
        "service_tier": "auto",
        "mcp_servers": [],
    }
)
EXTRA = "Extra inputs are not permitted"
NO_TAG = "Unable to extract tag using discriminator 'type'"
VALUE = "Input should be 'a' or 'b'"
TAG = "Input tag '{}' found using 'type' does not match any of the expected tags: 'a', 'b'"


@pytest.mark.parametrize(
    ("message", "paths"),
    [
        pytest.param(f"service_tier: {EXTRA}", {("service_tier",)}, id="a field"),
        pytest.param(
            f"service_tier: {EXTRA}\nmcp_servers: {EXTRA}.",
            {("service_tier",), ("mcp_servers",)},
            id="two fields",
        ),
        pytest.param(
            f"tools.0.custom.defer_loading: {EXTRA}",
            {("tools", "=custom", "defer_loading")},
            id="of a tool",
        ),
        pytest.param(
            f"messages.0.content.0.text.cache: {EXTRA}",
            {("messages", "=", "content", "=text", "cache")},
            id="of a block",
        ),
        pytest.param(
            f"tools.1: {TAG.format('computer_2099')}", {("tools", "=computer_2099")}, id="a tool"
        ),
        pytest.param(
            f"thinking: {TAG.format('adaptive')}", {("thinking", "=adaptive")}, id="thoughts"
        ),
        pytest.param(f"messages.0.content.0: {TAG.format('text')}", set(), id="what was said"),
        pytest.param(f"messages.0.content.0.text.text: {EXTRA}", set(), id="needed"),
        pytest.param(
            f"messages.0.content.1: {TAG.format('hologram')}",
            {("messages", "=", "content", "=hologram")},
            id="a block",
        ),
        pytest.param(
            f"messages.0.content.2: {NO_TAG}",
            {("messages", "=", "content", "=")},
            id="a block without a type",
        ),
        pytest.param(f"tools.1: {TAG.format('custom')}", set(), id="not its type"),
        pytest.param(f"messages.0: {NO_TAG}", set(), id="a message"),
        pytest.param(
            f"thinking.adaptive.display: {VALUE}",
            {("thinking", "display", value_key("full"))},
            id="a value",
        ),
        pytest.param(f"tools.0.custom.name: {VALUE}", set(), id="a value that is needed"),
        pytest.param(
            f"messages.0.content.3.image.source.media_type: {VALUE}", set(), id="the type of data"
        ),
        pytest.param(f"unheard_of: {EXTRA}", set(), id="not in the request"),
        pytest.param(f"The words 'service_tier: {EXTRA}'", set(), id="quoted"),
        pytest.param("service_tier: must be a string", set(), id="another error"),
        pytest.param("", set(), id="silence"),
    ],
)
def test_a_refusal_names_what_can_be_left_out(message: str, paths: set[Path]) -> None:
    assert refused_fields(BODY, message) == paths


@pytest.mark.parametrize(
    "body",
    [
        b'{"service_tier":',
        b'{"cache_control: Extra inputs are not permitted\\nx":1,"cache_control":{}}',
        b'{"tools":[{"input_schema":{"thinking: Input should be":1}}]}',
        b'{"Unexpected value(s) `b-1`":1}',
    ],
)
def test_a_request_that_words_an_error_itself_is_known(body: bytes) -> None:
    assert is_forged(body)
    assert not is_forged(BODY)
