"""A request's bytes: the fields that are OpenAI's, typed, and those that are not, as they came."""

from __future__ import annotations

import functools
import re
from typing import Any, TypeVar

import msgspec

from gateway.openai.errors import ApiError, invalid_request, invalid_value, missing, quoted

MAX_EXTRA = 64
"""Fields of one request that are none of OpenAI's."""
MAX_NAME = 64
"""Characters of such a field's name."""
MAX_DEPTH = 128
"""Arrays and objects within each other, where a client may put what it likes."""

_T = TypeVar("_T", bound=msgspec.Struct)

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])

# msgspec ends its messages with " - at `$.messages[2].content`".
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)
_JSON_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def decode(body: bytes, kind: type[_T]) -> tuple[_T, dict[str, Any]]:
    """Return the fields that `kind` has, and all others that are not null.

    Raises ApiError, with status 400 and the offending field in `param`, for whatever is not
    JSON in UTF-8 or not of the right types. The body's size is for the caller to bound.
    """
    try:
        body.decode()  # msgspec does not look into the strings that it skips
        fields = _FIELDS.decode(body)
        if "extra_body" in fields:
            fields = _merged(fields)
            body = msgspec.json.encode(fields)
        return _decoder(kind).decode(body), _others(fields, kind)
    except msgspec.ValidationError as error:
        raise _wrongly_typed(str(error)) from error
    except RecursionError as error:
        raise invalid_request("The request's JSON is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise invalid_request(
            f"We could not parse the JSON body of your request: {reason}."
        ) from error


def bounded(value: Any, path: str) -> Any:
    """Return the value, if it can be passed on. Raises ApiError (400) that names the path."""
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _within(outer)]
        if not level:
            break
    else:
        raise invalid_value(path, "it is nested too deeply")
    try:
        msgspec.msgpack.encode(value)
    except OverflowError as error:
        raise invalid_value(path, "an integer in it takes more than 64 bits") from error
    return value


@functools.cache
def _decoder(kind: type[_T]) -> msgspec.json.Decoder[_T]:
    return msgspec.json.Decoder(kind)


@functools.cache
def _known(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_fields__)


def _merged(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Put the fields of `extra_body` beside it, as OpenAI's client would have before it sent."""
    try:
        inner = msgspec.json.decode(fields["extra_body"], type=dict[str, msgspec.Raw] | None)
    except msgspec.ValidationError as error:
        raise invalid_value("extra_body", "it must be an object") from error
    merged = fields | (inner or {})
    del merged["extra_body"]
    return merged


def _others(fields: dict[str, msgspec.Raw], kind: type[msgspec.Struct]) -> dict[str, Any]:
    others = {}
    for name in fields.keys() - _known(kind):
        value = msgspec.json.decode(fields[name])
        if value is None:
            continue
        if len(name) > MAX_NAME:
            raise invalid_request(f"No parameter has a name like {quoted(name)}.", name[:MAX_NAME])
        others[name] = bounded(value, name)
    if len(others) > MAX_EXTRA:
        raise invalid_request(
            f"The request has {len(others)} fields that are none of OpenAI's;"
            f" at most {MAX_EXTRA} are passed on."
        )
    # In the order that they came.
    return {name: others[name] for name in fields if name in others}


def _within(outer: Any) -> list[Any]:
    """Return the arrays and objects directly within one."""
    values = outer.values() if isinstance(outer, dict) else outer
    return [value for value in values if isinstance(value, dict | list)]


def _wrongly_typed(problem: str) -> ApiError:
    """Turn msgspec's words into OpenAI's: its place into a param, Python's types into JSON's."""
    place = _PLACE.search(problem)
    param = place[1].replace("[...]", "") if place else None
    if field := re.match(r"Object missing required field `(\w+)`", problem):
        return missing(f"{param}.{field[1]}" if param else field[1])
    reason = _PLACE.sub("", problem)
    reason = re.sub(r"\b(str|int|float|bool)\b", lambda word: _JSON_TYPES[word[0]], reason)
    return invalid_value(param, reason)
