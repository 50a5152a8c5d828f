"""Neutral options as the parameters that a model declares."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.messages import Model, Options
from worker.poe.faults import Fault, FaultKind
from worker.poe.parameters import parameters_of, thinks

BUDGET = {"type": "number", "minimum": 0, "maximum": 10_000}
NONE_TO_MAX = {"enum": ["none", "low", "medium", "high", "max"]}


def model(**parameters: dict[str, Any]) -> Model:
    return Model("m", 0, "", parameters=parameters)


def effort(level: str, **parameters: dict[str, Any]) -> dict[str, Any]:
    return parameters_of(Options(reasoning_effort=level), model(**parameters))


@pytest.mark.parametrize(
    ("asked", "allowed", "given"),
    [
        ("high", ["low", "medium", "high"], "high"),
        ("max", ["low", "medium", "high"], "high"),
        ("minimal", ["low", "medium", "high"], "low"),
        ("medium", ["minimal", "low", "high"], "high"),
        ("xhigh", ["max", "high", "low"], "max"),
        ("none", ["none", "low"], "none"),
        ("none", ["low", "high"], "low"),
        ("minimal", ["none", "high"], "high"),
        ("low", ["none"], "none"),
        ("high", ["Low", "High"], "High"),
        ("high", ["on", "off", 3], None),
    ],
)
def test_an_effort_becomes_the_nearest_that_is_allowed(
    asked: str, allowed: list[Any], given: str | None
) -> None:
    expected = {} if given is None else {"reasoning_effort": given}

    assert effort(asked, reasoning_effort={"enum": allowed}) == expected


def test_the_family_decides_which_knob_is_turned() -> None:
    assert effort("high", reasoning_effort=NONE_TO_MAX) == {"reasoning_effort": "high"}
    assert effort("high", output_effort=NONE_TO_MAX) == {"output_effort": "high"}
    assert effort("low", thinking_level={"enum": ["low", "high"]}) == {"thinking_level": "low"}
    assert effort("high", reasoning_effort={"type": "string"}) == {"reasoning_effort": "high"}
    assert effort("high", verbosity=NONE_TO_MAX) == {}


@pytest.mark.parametrize(
    ("asked", "tokens"),
    [("none", 0), ("minimal", 1000), ("low", 2000), ("medium", 5000), ("high", 8000)],
)
def test_an_effort_becomes_its_share_of_a_budget(asked: str, tokens: int) -> None:
    assert effort(asked, thinking_budget=BUDGET) == {"thinking_budget": tokens}


@pytest.mark.parametrize(("asked", "tokens"), [(5_000, 5_000), (1, 128), (99_999, 10_000)])
def test_a_budget_that_the_client_sets_counts_for_more_than_the_effort(
    asked: int, tokens: int
) -> None:
    options = Options(reasoning_effort="low", thinking_budget=asked)

    sent = parameters_of(options, model(thinking_budget=BUDGET | {"minimum": 128}))

    assert sent == {"thinking_budget": tokens}


def test_a_budget_stays_within_its_bounds_and_below_the_longest_answer() -> None:
    assert effort("none", thinking_budget=BUDGET | {"minimum": 128}) == {"thinking_budget": 128}
    assert effort("max", thinking_budget=BUDGET) == {"thinking_budget": 10_000}
    assert effort("high", thinking_budget={"type": "number"}) == {}
    options = Options(reasoning_effort="high", max_tokens=1000)
    assert parameters_of(options, model(thinking_budget=BUDGET)) == {"thinking_budget": 800}


@pytest.mark.parametrize(
    ("schema", "on", "off"),
    [
        ({"type": "boolean"}, {"enable_thinking": True}, {"enable_thinking": False}),
        ({"enum": ["true", "false"]}, {"enable_thinking": "true"}, {"enable_thinking": "false"}),
        ({"enum": ["true"]}, {"enable_thinking": "true"}, {}),
        ({"type": "string"}, {"enable_thinking": "true"}, {"enable_thinking": "false"}),
        ({}, {"enable_thinking": True}, {"enable_thinking": False}),
    ],
)
def test_a_switch_is_thrown_in_its_own_way(
    schema: dict[str, Any], on: dict[str, Any], off: dict[str, Any]
) -> None:
    assert effort("low", enable_thinking=schema) == on
    assert effort("none", enable_thinking=schema) == off


def test_what_the_client_sets_itself_is_not_overridden() -> None:
    options = Options(reasoning_effort="high", extra={"thinking_budget": 7})

    assert parameters_of(options, model(thinking_budget=BUDGET)) == {"thinking_budget": 7}


def test_fields_that_a_model_does_not_declare_are_dropped() -> None:
    options = Options(extra={"aspect": "16:9", "seed": 1}, top_p=0.5, max_tokens=9)

    assert parameters_of(options, model(aspect={"enum": ["16:9"]})) == {"aspect": "16:9"}


def test_a_model_that_nobody_knows_gets_all_of_them() -> None:
    options = Options(extra={"aspect": "16:9"}, reasoning_effort="low")

    assert parameters_of(options, None) == {"aspect": "16:9", "reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("asked", "schema", "given"),
    [
        (9, {"type": "number"}, 9),
        (9, {"minimum": 16}, 16),
        (9000, {"minimum": 16, "maximum": 4096}, 4096),
    ],
)
def test_a_bound_of_the_answer_is_told_as_the_model_declares_it(
    asked: int, schema: dict[str, Any], given: int
) -> None:
    options = Options(max_tokens=asked)

    assert parameters_of(options, model(max_output_tokens=schema)) == {"max_output_tokens": given}


@pytest.mark.parametrize(
    ("value", "schema", "says"),
    [
        (64_000, BUDGET, "at most 10000"),
        (-1, BUDGET, "at least 0"),
        ("many", BUDGET, "a number"),
        (True, BUDGET, "a number"),
        (1.5, {"type": "integer"}, "a whole number"),
        ("3:2", {"enum": ["1:1", "16:9"]}, "one of 1:1, 16:9"),
        (1, {"enum": [True]}, "one of True"),
        ("yes", {"type": "boolean"}, "true or false"),
        (["a"], {"type": "string"}, "a string"),
    ],
)
def test_a_value_that_the_schema_forbids_is_refused_by_name(
    value: Any, schema: dict[str, Any], says: str
) -> None:
    with pytest.raises(Fault, match=f"`knob` must be {says}") as refused:
        parameters_of(Options(extra={"knob": value}), model(knob=schema))

    assert refused.value.kind is FaultKind.BAD_REQUEST
    assert not refused.value.sent


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (63, BUDGET),
        (2.0, {"type": "integer"}),
        (None, {}),
        ("x", {"type": "novelty"}),
        ("x", {"type": ["string", "null"]}),
        (5, {"minimum": "low"}),
    ],
)
def test_a_value_passes_unless_its_schema_clearly_forbids_it(
    value: Any, schema: dict[str, Any]
) -> None:
    assert parameters_of(Options(extra={"knob": value}), model(knob=schema)) == {"knob": value}


def test_a_model_thinks_if_it_has_a_knob_for_it_or_nobody_knows() -> None:
    assert thinks(None)
    assert thinks(model(enable_thinking={}))
    assert not thinks(model(aspect={}))
    assert thinks(msgspec.structs.replace(model(aspect={}), reasons=True))


RATIOS = {"enum": ["1:1", "3:2", "16:9", "9:16"]}
PIXELS = {"enum": ["auto", "1024x1024", "2048x2048", "1536x1024"]}


@pytest.mark.parametrize(
    ("size", "declared", "given"),
    [
        ("1024x1024", {"aspect_ratio": RATIOS}, {"aspect_ratio": "1:1"}),
        ("1536x1024", {"aspect_ratio": RATIOS}, {"aspect_ratio": "3:2"}),
        ("1792x1024", {"aspect": RATIOS}, {"aspect": "16:9"}),
        ("1024X1792", {"aspect": RATIOS}, {"aspect": "9:16"}),
        ("1280x720", {"aspect": {"enum": ["1280x720", "1:1"]}}, {"aspect": "1280x720"}),
        ("512x512", {"size": PIXELS}, {"size": "1024x1024"}),
        ("1800x1800", {"size": PIXELS}, {"size": "2048x2048"}),
        ("1024x1024", {"size": PIXELS, "aspect": RATIOS}, {"size": "1024x1024"}),
        ("512x512", {"size": {"type": "string"}, "aspect": RATIOS}, {"size": "512x512"}),
        ("auto", {"size": PIXELS}, {"size": "auto"}),
        ("auto", {"size": RATIOS, "aspect": RATIOS}, {}),
        ("auto", {"aspect": RATIOS}, {}),
        ("0x9", {"aspect": RATIOS}, {}),
        ("large", {"aspect": RATIOS}, {}),
        (7, {"aspect": RATIOS}, {}),
        ("1024x1024", {"aspect": {"enum": ["wide", 3, ["1:1"]]}}, {}),
        ("1024x1024", {"aspect": {"type": "string"}}, {}),
    ],
)
def test_a_size_becomes_the_models_own_that_is_nearest_in_shape(
    size: object, declared: dict[str, Any], given: dict[str, Any]
) -> None:
    assert parameters_of(Options(extra={"size": size}), model(**declared)) == given


def test_a_shape_that_the_client_chose_itself_stands_above_a_size() -> None:
    options = Options(extra={"size": "1024x1024", "aspect_ratio": "16:9"})

    assert parameters_of(options, model(aspect_ratio=RATIOS)) == {"aspect_ratio": "16:9"}


def test_a_size_that_is_none_is_refused_by_name_where_the_model_declares_sizes() -> None:
    with pytest.raises(Fault, match="`size` must be one of auto, 1024x1024"):
        parameters_of(Options(extra={"size": "large"}), model(size=PIXELS))
