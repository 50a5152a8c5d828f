"""JSON schemas that clients bring: whether they can be used, and whether a value matches.

They come from outside, so checking a value against one must end soon, and must reach for
nothing:

    $ref                          only within the schema; nothing is ever fetched
    pattern, patternProperties    are not enforced: one regular expression can stop a process for
                                  longer than the universe lasts, and Python's cannot be bounded
    unevaluatedProperties, -Items are not enforced either, for the same expressions
    format                        is an annotation, as the standard has it by default
    everything else               costs steps, of which there are MAX_STEPS: a schema of a hundred
                                  bytes can ask for 2**30

The model is shown the whole schema all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import jsonschema.validators  # type: ignore[import-untyped]
import msgspec
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

MAX_BYTES = 128 * 1024
"""Of a schema as compact JSON; OpenAI allows 120,000 characters of names and values."""

MAX_DEPTH = 64
"""Levels of JSON in a schema: OpenAI's ten levels of objects are at most thirty of these."""

MAX_STEPS = 50_000
"""Keywords applied to one value; some microseconds each."""

_REFERENCE_STEPS = 10
"""A `$ref` costs as much time as that many other keywords."""

_MAX_REASON = 300
"""Characters of a reason: it quotes the value, which may be long."""

_NEWEST = jsonschema.Draft202012Validator
_DRAFTS = {
    draft.META_SCHEMA["$schema"].rstrip("#"): draft
    for draft in (
        jsonschema.Draft4Validator,
        jsonschema.Draft6Validator,
        jsonschema.Draft7Validator,
        jsonschema.Draft201909Validator,
        _NEWEST,
    )
}

_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})

_VALUES = frozenset({"const", "default", "enum", "examples"})
"""Keywords that hold values, in which `$ref` is but a name."""

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _is_type(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


_WITH_MANY = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
_WITH_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_WITH_ONE = frozenset(
    {
        *("additionalItems", "additionalProperties", "contains", "items", "not"),
        *("if", "then", "else", "propertyNames"),
    }
)
"""Keywords with schemas inside: in an object, in an array, or as the argument itself."""

_ARGUMENTS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "type": (f"one of {', '.join(sorted(_TYPES))}, or several in an array", _is_type),
    "enum": ("an array", lambda value: isinstance(value, list)),
    # Draft 4 has a boolean here, which Python counts among the numbers.
    **dict.fromkeys(_WITH_MANY, ("an object", lambda value: isinstance(value, dict))),
    **dict.fromkeys(
        ("allOf", "anyOf", "oneOf", "prefixItems"),
        ("an array that is not empty", lambda value: isinstance(value, list) and bool(value)),
    ),
    "required": ("an array of strings", _are_names),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum"), ("a number", _is_number)),
    **dict.fromkeys(("maximum", "minimum"), ("a number", _is_number)),
    "multipleOf": ("a number above 0", lambda value: _is_number(value) and value > 0),  # type: ignore[operator]
    **dict.fromkeys(
        (
            *("maxContains", "maxItems", "maxLength", "maxProperties"),
            *("minContains", "minItems", "minLength", "minProperties"),
        ),
        ("a whole number, not negative", _is_count),
    ),
    "uniqueItems": ("a boolean", lambda value: isinstance(value, bool)),
    "$ref": ("a string", lambda value: isinstance(value, str)),
}
"""Keywords whose argument is no schema: what it must be."""

_INAPPLICABLE = (
    Unresolvable,
    jsonschema.exceptions.UnknownType,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What the library raises where a schema is none."""

_Keyword = Callable[[Any, Any, Any, dict[str, Any]], Iterator[Any] | None]


class _TooCostly(Exception):
    """The value needs more steps than there are."""


def check_schema(schema: dict[str, Any]) -> str | None:
    """Tell why this cannot be used as a schema; None if it can.

    The library's own check, against the standard's schema of schemas, takes two seconds for one
    of 100 KB; this one looks at the keywords that it knows, and takes 40 ms.
    """
    if _deeper_than(schema, MAX_DEPTH):
        return f"it is nested more than {MAX_DEPTH} levels deep"
    if len(msgspec.json.encode(schema)) > MAX_BYTES:
        return f"it is larger than {MAX_BYTES} bytes"
    return next(_faults(schema, ""), None) or _bad_reference(schema)


def violation(schema: dict[str, Any], value: object) -> str | None:
    """Tell where `value` does not match; None if it does.

    A schema that cannot be applied is matched by nothing; `check_schema` finds most of those.
    """
    try:
        validator = _bounded(_draft(schema))(schema, registry=Registry())
        error = next(validator.iter_errors(value), None)
    except (_TooCostly, RecursionError):
        return "matching it against the schema takes too long"
    except _INAPPLICABLE:
        return "the schema cannot be applied to it"
    return None if error is None else _reason(error)


def _draft(schema: dict[str, Any]) -> Any:
    """Return the validator of the draft that `$schema` names: the newest if it names none."""
    named = schema.get("$schema")
    return _DRAFTS.get(named.rstrip("#") if isinstance(named, str) else "", _NEWEST)


def _reason(error: Any) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path)
    message = str(error.message)
    if len(message) > _MAX_REASON:
        message = message[:_MAX_REASON] + "…"
    return f"at {path.lstrip('.')}: {message}" if path else message


def _faults(schema: object, path: str) -> Iterator[str]:
    """Find what is wrong with a schema and with those inside it."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield f"at {path.lstrip('.')}: a schema must be an object or a boolean"
        return
    for keyword, argument in schema.items():
        where = f"{path}.{keyword}"
        if keyword in _ARGUMENTS and not _ARGUMENTS[keyword][1](argument):
            yield f"at {where.lstrip('.')}: it must be {_ARGUMENTS[keyword][0]}"
        elif keyword in _WITH_MANY and isinstance(argument, dict):
            for name, inner in argument.items():
                yield from _faults(inner, f"{where}.{name}")
        elif keyword in _WITH_LIST and isinstance(argument, list):
            for index, inner in enumerate(argument):
                yield from _faults(inner, f"{where}[{index}]")
        elif keyword in _WITH_ONE and not isinstance(argument, list):
            yield from _faults(argument, where)


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in inner)


def _bad_reference(schema: dict[str, Any]) -> str | None:
    references = list(_references(schema))
    for reference in references:
        if not reference.startswith("#"):
            return f"its $ref {reference[:_MAX_REASON]!r} leads outside"
    try:
        resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
        for reference in references:
            resolver.lookup(reference)
    except _INAPPLICABLE:
        return "one of its $ref leads nowhere"
    return None


def _references(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for keyword, inner in value.items():
            if keyword in _REFERENCES and isinstance(inner, str):
                yield inner
            elif keyword not in _VALUES:
                yield from _references(inner)


def _bounded(draft: Any) -> Any:
    """Return the draft's validator with a bound on its steps, and nothing that has none."""
    steps = 0

    def counted(keyword: _Keyword, cost: int) -> _Keyword:
        def apply(
            validator: Any, argument: Any, value: Any, schema: dict[str, Any]
        ) -> Iterator[Any]:
            nonlocal steps
            steps += cost
            if steps > MAX_STEPS:
                raise _TooCostly
            yield from keyword(validator, argument, value, schema) or ()

        return apply

    keywords = {
        name: counted(keyword, _REFERENCE_STEPS if name in _REFERENCES else 1)
        for name, keyword in draft.VALIDATORS.items()
    }
    keywords |= dict.fromkeys(_UNENFORCED, _ignored)
    keywords["uniqueItems"] = _unique
    keywords["additionalProperties"] = _unless_patterns(keywords["additionalProperties"])
    return jsonschema.validators.extend(draft, keywords)


_UNENFORCED = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")


def _ignored(_validator: Any, _argument: Any, _value: Any, _schema: dict[str, Any]) -> None:
    """Enforce nothing."""


def _unless_patterns(keyword: _Keyword) -> _Keyword:
    """Let it pass beside `patternProperties`: what is additional depends on those."""

    def apply(validator: Any, argument: Any, value: Any, schema: dict[str, Any]) -> Iterator[Any]:
        if "patternProperties" not in schema:
            yield from keyword(validator, argument, value, schema) or ()

    return apply


def _unique(
    validator: Any, argument: Any, value: Any, _schema: dict[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """Compare by the JSON of the items: the library's own way is quadratic in their number."""
    if argument and validator.is_type(value, "array"):
        distinct = {json.dumps(item, sort_keys=True) for item in value}
        if len(distinct) < len(value):
            yield jsonschema.ValidationError("its items are not unique")
