"""Checks whether a value matches a JSON schema of a client's.

No bound on the time is to be had from within: a schema of a hundred bytes can ask for 2**30 steps.
So this runs in a child process (`runtime.offload`), which has one. What a schema says is enforced
as far as it can be:

    $ref                        only within the schema; nothing is ever fetched
    format                      is an annotation, as the standard has it by default
    pattern, patternProperties  unless their expressions are none of the engine's, or take too long
    null as an argument         is no argument: generators of schemas write it for "not given"

The model is shown the whole schema all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from jsonschema_rs import ValidationError, ValidationErrorKind

from contract.json_schema import rewritten

_MAX_REASON = 300
"""Characters of a reason: it quotes the value, which may be long."""

_NEWEST = jsonschema_rs.Draft202012Validator
_DRAFTS: dict[str, Any] = {
    "http://json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
    "http://json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": _NEWEST,
}

_HOLD_NULL = frozenset({"const", "default", "enum", "examples"})
_PATTERNS = frozenset({"pattern", "patternProperties"})
_BEYOND_PATTERNS = frozenset({"additionalProperties", "unevaluatedProperties", "unevaluatedItems"})
"""Keywords whose meaning depends on what the patterns match."""


def violation(schema: dict[str, Any], value: object) -> str | None:
    """Return where `value` does not match; None if it does.

    A schema that cannot be applied is matched by nothing; `check_schema` finds most of those.
    """
    for validator in _validators(rewritten(schema, _without_nulls)):
        try:
            validator.validate(value)
        except ValidationError as error:
            if not _is_of_the_engine(error):
                return _reason(error)
        except ValueError:
            # Either of them is nested too deeply, or the value is no text that UTF-8 can hold.
            break
        else:
            return None
    return "the schema cannot be applied to it"


def _validators(schema: dict[str, Any]) -> Iterator[Any]:
    """Build what checks a value: the draft that is named, then whatever makes sense of the schema.

    Few schemas name their draft, and some say what only older ones know.
    """
    named = schema.get("$schema")
    first = _DRAFTS.get(named.rstrip("#") if isinstance(named, str) else "", _NEWEST)
    for version in (schema, rewritten(schema, _without_patterns)):
        for draft in dict.fromkeys([first, *reversed(_DRAFTS.values())]):
            try:
                yield draft(version, validate_formats=False, offline=True)
            except (ValidationError, ValueError):
                continue
            break


def _without_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        keyword: argument
        for keyword, argument in schema.items()
        if argument is not None or keyword in _HOLD_NULL
    }


def _without_patterns(schema: dict[str, Any]) -> dict[str, Any]:
    dropped = _PATTERNS | (_BEYOND_PATTERNS if "patternProperties" in schema else frozenset())
    return {keyword: schema[keyword] for keyword in schema.keys() - dropped}


def _is_of_the_engine(error: ValidationError) -> bool:
    """Return whether a regular expression was given up, which says nothing of the value."""
    kinds = ValidationErrorKind
    return isinstance(error.kind, kinds.BacktrackLimitExceeded | kinds.RegexEngineFailure)


def _reason(error: ValidationError) -> str:
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.instance_path)
    message = str(error.message)
    if len(message) > _MAX_REASON:
        # The value comes first, and what is wrong with it last.
        message = f"{message[: _MAX_REASON // 2]}…{message[-_MAX_REASON // 2 :]}"
    return f"at {path.lstrip('.')}: {message}" if path else message
