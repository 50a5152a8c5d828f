"""Poe's catalogue, balance and rate limits."""

from __future__ import annotations

import msgspec
import pytest

from contract.messages import Model
from contract.prices import Price
from worker.poe.catalogue import read_balance, read_catalogue
from worker.poe.faults import Fault, FaultKind
from worker.poe.limits import RateLimits, limits_from

ENTRY = {
    "id": "claude-sonnet-4.6",
    "object": "model",
    "created": 1_767_225_600_000,
    "owned_by": "Anthropic",
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "context_window": {"context_length": 200_000, "max_output_tokens": None},
    "metadata": {"display_name": "Claude-Sonnet-4.6"},
    "pricing": None,
}


def catalogue(*entries: object) -> bytes:
    return msgspec.json.encode({"object": "list", "data": entries})


def test_reads_an_entry_as_poe_writes_it() -> None:
    assert read_catalogue(catalogue(ENTRY)) == (
        Model(
            id="claude-sonnet-4.6",
            created=1_767_225_600,
            owned_by="Anthropic",
            display_name="Claude-Sonnet-4.6",
            context_length=200_000,
            input_modalities=("text", "image"),
            output_modalities=("text",),
        ),
    )


def test_reads_what_a_model_costs() -> None:
    pricing = {"prompt": "0.0000025758", "completion": "0.000012879", "request": None}
    (model,) = read_catalogue(catalogue(ENTRY | {"pricing": pricing}))

    assert model.price == Price(prompt=2_575_800_000, completion=12_879_000_000)


@pytest.mark.parametrize(
    ("reasoning", "reasons"),
    [
        (None, False),
        ("yes", False),
        ({}, False),
        ({"required": False, "supports_reasoning_effort": False, "budget": None}, False),
        ({"required": True, "supports_reasoning_effort": False, "budget": None}, True),
        ({"required": False, "supports_reasoning_effort": True, "budget": None}, True),
        ({"required": False, "budget": {"min_tokens": 0, "max_tokens": 31_999}}, True),
    ],
)
def test_reads_whether_a_model_thinks(reasoning: object, reasons: bool) -> None:
    (model,) = read_catalogue(catalogue(ENTRY | {"reasoning": reasoning}))

    assert model.reasons is reasons


def test_reads_what_a_model_takes_and_where_it_is_asked() -> None:
    budget = {"type": "number", "minimum": 0, "maximum": 63_999}
    (model,) = read_catalogue(
        catalogue(
            ENTRY
            | {
                "context_window": {"context_length": 200_000, "max_output_tokens": 64_000},
                "supported_endpoints": ["/v1/responses", "/v1/chat/completions"],
                "supported_features": ["tools", "web_search"],
                "parameters": [
                    {"name": "thinking_budget", "schema": budget, "default_value": 0},
                    {"name": "web_search", "schema": {"type": "boolean"}, "description": "x"},
                ],
            }
        )
    )

    assert model.max_output_tokens == 64_000
    assert model.endpoints == ("/v1/responses", "/v1/chat/completions")
    assert model.features == ("tools", "web_search")
    assert model.parameters == {
        "thinking_budget": budget | {"default": 0},
        "web_search": {"type": "boolean"},
    }


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({}, id="no id"),
        pytest.param({"id": ""}, id="an empty id"),
        pytest.param({"id": 7}, id="an id that is no text"),
        pytest.param("gpt-5", id="no object"),
        pytest.param(None, id="null"),
    ],
)
def test_one_odd_entry_does_not_hide_the_others(entry: object) -> None:
    models = read_catalogue(catalogue(entry, ENTRY))

    assert [model.id for model in models] == ["claude-sonnet-4.6"]


@pytest.mark.parametrize(
    ("more", "model"),
    [
        ({}, Model("m", 0, "")),
        ({"created": 1_700_000_000}, Model("m", 1_700_000_000, "")),
        ({"created": "today", "owned_by": 3, "metadata": []}, Model("m", 0, "")),
        ({"context_length": 8192}, Model("m", 0, "", context_length=8192)),
        ({"context_window": None, "context_length": "8k"}, Model("m", 0, "")),
        ({"architecture": {"input_modalities": "text"}}, Model("m", 0, "")),
        ({"supported_endpoints": None, "supported_features": "tools"}, Model("m", 0, "")),
        ({"parameters": {"name": "x"}}, Model("m", 0, "")),
        ({"parameters": [7, {"name": 7}, {"schema": {}}]}, Model("m", 0, "")),
        ({"parameters": [{"name": "x", "schema": []}]}, Model("m", 0, "", parameters={"x": {}})),
        (
            {"parameters": [{"name": "x", "schema": {"maximum": 2**70}}]},
            Model("m", 0, "", parameters={"x": {}}),
        ),
    ],
)
def test_any_field_but_the_id_may_be_missing_or_odd(more: dict[str, object], model: Model) -> None:
    assert read_catalogue(catalogue({"id": "m"} | more)) == (model,)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"data": {}}', b"\xff"])
def test_what_is_no_catalogue_is_a_fault(body: bytes) -> None:
    with pytest.raises(Fault) as caught:
        read_catalogue(body)

    assert caught.value.kind is FaultKind.PROTOCOL


def test_reads_the_balance() -> None:
    assert read_balance(b'{"current_point_balance": 1234, "plan_points_balance": 1}') == 1234


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"current_point_balance": "many"}'])
def test_what_is_no_balance_is_a_fault(body: bytes) -> None:
    with pytest.raises(Fault) as caught:
        read_balance(body)

    assert caught.value.kind is FaultKind.PROTOCOL


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({}, None),
        ({"x-ratelimit-limit-requests": "lots"}, None),
        ({"x-ratelimit-remaining-requests": "-1"}, None),
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "12.5",
            },
            RateLimits(0, 12.5),
        ),
        ({"x-ratelimit-remaining-requests": "7"}, RateLimits(remaining=7)),
    ],
)
def test_reads_the_rate_limit_headers(headers: dict[str, str], limits: RateLimits | None) -> None:
    assert limits_from(headers) == limits
