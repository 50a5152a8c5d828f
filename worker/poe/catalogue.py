"""Reads Poe's catalogue, `GET /v1/models`, as it was seen in 2026: OpenAI's list with extras.

`created` is in milliseconds there, against OpenAI's convention, so both are taken. An entry
without an id is skipped, and any other field may be missing or odd: a new one among hundreds of
models must not hide the rest.
"""

from __future__ import annotations

import msgspec

from contract.messages import Model
from contract.prices import price_of
from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import count_of, object_of, objects_of, parse, string_of, strings_of

_FIRST_MILLISECONDS = 100_000_000_000
"""In seconds this is the year 5138, in milliseconds 1973."""


def read_catalogue(body: bytes) -> tuple[Model, ...]:
    """Return the models. Raises Fault(PROTOCOL) if the body is not a list of models."""
    data = object_of(parse(body)).get("data")
    if not isinstance(data, list):
        raise Fault(FaultKind.PROTOCOL)
    return tuple(_model(item) for item in objects_of(data) if string_of(item.get("id")))


def read_balance(body: bytes) -> int:
    """Return the points in the body of `GET /usage/current_balance`. Raises Fault(PROTOCOL)."""
    points = object_of(parse(body)).get("current_point_balance")
    if not isinstance(points, int):
        raise Fault(FaultKind.PROTOCOL)
    return points


def _model(item: dict[str, object]) -> Model:
    metadata, architecture = object_of(item.get("metadata")), object_of(item.get("architecture"))
    return Model(
        id=str(item["id"]),
        created=_seconds(item.get("created")),
        owned_by=string_of(item.get("owned_by")),
        display_name=string_of(metadata.get("display_name")),
        context_length=_context_length(item),
        input_modalities=strings_of(architecture.get("input_modalities")),
        output_modalities=strings_of(architecture.get("output_modalities")),
        max_output_tokens=_max_output_tokens(item),
        endpoints=strings_of(item.get("supported_endpoints")),
        features=strings_of(item.get("supported_features")),
        parameters=_parameters(item.get("parameters")),
        reasons=_reasons(item.get("reasoning")),
        price=price_of(item),
    )


def _reasons(reasoning: object) -> bool:
    """Read `{"required": …, "supports_reasoning_effort": …, "budget": {…}}`; null: it does not."""
    return any(object_of(reasoning).values())


def _parameters(parameters: object) -> dict[str, dict[str, object]]:
    """Read the parameters that a model declares, each with its schema."""
    named = {string_of(item.get("name")): item for item in objects_of(parameters)}
    return {name: _schema(item) for name, item in named.items() if name}


def _schema(item: dict[str, object]) -> dict[str, object]:
    schema = object_of(item.get("schema"))
    if "default_value" in item:
        schema = {**schema, "default": item["default_value"]}
    try:
        # JSON's numbers have no bound, and msgpack's do.
        msgspec.msgpack.encode(schema)
    except (OverflowError, UnicodeError, RecursionError):
        return {}
    return schema


def _max_output_tokens(item: dict[str, object]) -> int | None:
    return count_of(object_of(item.get("context_window")).get("max_output_tokens"))


def _seconds(created: object) -> int:
    instant = count_of(created) or 0
    return instant // 1000 if instant >= _FIRST_MILLISECONDS else instant


def _context_length(item: dict[str, object]) -> int | None:
    # The field of the item is the older form of the same.
    newer = object_of(item.get("context_window")).get("context_length")
    return count_of(newer or item.get("context_length"))
