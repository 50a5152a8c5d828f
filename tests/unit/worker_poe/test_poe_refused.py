"""What an error says that a request can do without."""

from __future__ import annotations

import msgspec
import pytest

from worker.poe.raw_json import Path
from worker.poe.refused import refused_fields

BODY = msgspec.json.encode(
    {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "t", "cache": 1}]}],
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
            f"tools.0.custom.defer_loading: {EXTRA}", {("tools", "defer_loading")}, id="of a tool"
        ),
        pytest.param(
            f"messages.0.content.0.text.cache: {EXTRA}",
            {("messages", "content", "cache")},
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
        pytest.param(f"unheard_of: {EXTRA}", set(), id="not in the request"),
        pytest.param(f"The words 'service_tier: {EXTRA}'", set(), id="quoted"),
        pytest.param("service_tier: must be a string", set(), id="another error"),
        pytest.param("", set(), id="silence"),
    ],
)
def test_a_refusal_names_what_can_be_left_out(message: str, paths: set[Path]) -> None:
    assert refused_fields(BODY, message) == paths


def test_a_request_that_cannot_be_read_can_do_without_nothing() -> None:
    assert refused_fields(b'{"service_tier":', f"service_tier: {EXTRA}") == set()
