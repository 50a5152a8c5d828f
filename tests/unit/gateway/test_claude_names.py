"""Anthropic's names of its models."""

from __future__ import annotations

import pytest

from gateway.claude_names import meant_by

POES = [
    *("claude-opus-4.5", "claude-opus-4.6", "claude-opus-4.8", "claude-sonnet-4.5"),
    *("claude-sonnet-4.6", "claude-haiku-4.5", "gpt-5.4", "claude-sonnet-4.5-search"),
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5"),
        ("claude-sonnet-4-5", "claude-sonnet-4.5"),
        ("claude-sonnet-4.5", "claude-sonnet-4.5"),
        ("claude-sonnet-4-6", "claude-sonnet-4.6"),
        ("claude-opus-4-8[1m]", "claude-opus-4.8"),
        ("claude-opus-4-6-20260205[1m]", "claude-opus-4.6"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4.5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4.5"),
        ("anthropic/claude-haiku-4.5", "claude-haiku-4.5"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4.5"),
        pytest.param("claude-3-5-haiku-latest", "claude-haiku-4.5", id="retired"),
        pytest.param("claude-3-5-haiku-20241022", "claude-haiku-4.5", id="retired, dated"),
        pytest.param("claude-3.7-sonnet", "claude-sonnet-4.5", id="the next newer one"),
        pytest.param("claude-opus-4-20250514", "claude-opus-4.5", id="a date is no version"),
        pytest.param("claude-opus-4-1-20250805", "claude-opus-4.5", id="between two"),
        pytest.param("claude-opus-4-7", "claude-opus-4.8", id="between two others"),
        pytest.param("claude-opus", "claude-opus-4.8", id="no version"),
        pytest.param("claude-opus-latest", "claude-opus-4.8", id="the latest"),
        pytest.param("claude-sonnet[1m]", "claude-sonnet-4.6", id="no version, but a size"),
        pytest.param("claude-opus-5-20270101", "claude-opus-5", id="newer than all"),
        pytest.param("claude-haiku-4-6", "claude-haiku-4.6", id="newer than all of the family"),
        pytest.param("claude-fable-5", None, id="no such family"),
        pytest.param("claude-sonnet-4-5-mine", None, id="somebody's bot"),
        pytest.param("claude-3-sonnet-4", None, id="two versions"),
        pytest.param("my-claude-sonnet-4-5", None, id="another beginning"),
        pytest.param("claude-sonnet-4-5-20250929-x", None, id="another end"),
        pytest.param("claude-", None, id="nothing"),
        pytest.param("gpt-5-4", None, id="another vendor"),
    ],
)
def test_a_name_means_one_of_poes(name: str, meant: str | None) -> None:
    assert meant_by(name, POES) == meant


def test_nothing_is_meant_where_nothing_is_known() -> None:
    assert meant_by("claude-opus", []) is None
