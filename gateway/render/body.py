"""A request's bytes: the fields that a dialect knows, typed, and all others as they came."""

from __future__ import annotations

import codecs
import functools
import re
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec

from contract.lookalikes import lookalike
from gateway.problems import Problem, invalid_request, invalid_value, missing, quoted
from gateway.render.value_count import refuse_too_many_values

MAX_EXTRA = 64
"""Fields of one request that the dialect does not know."""
MAX_EXTRA_BYTES = 64 * 1024
"""Of all of them, as JSON."""
MAX_NAME = 64
"""Characters of such a field's name."""
MAX_DEPTH = 128
"""Arrays and objects within each other, where a client may put what it likes."""

MAX_HALVES = 1_000
"""Halves of surrogate pairs that are replaced. A body with more of them is not taken for JSON."""

_T = TypeVar("_T", bound=msgspec.Struct)

_NULL = msgspec.Raw(b"null")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])

# msgspec ends its messages with " - at `$.messages[2].content`".
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)$")
_LONE_HALF = re.compile(
    rb"(?<!\\)((?:\\\\)*)"  # an even number of backslashes is text
    rb"(?:\\u[dD][89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F][\da-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][\da-fA-F][\da-fA-F])\\u[dD][c-fC-F][\da-fA-F]{2})"
)
"""Half of a surrogate pair, as clients that cut a text between two halves of an emoji send it."""
_JSON_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def decode(
    body: bytes, kind: type[_T], api: str = "OpenAI", bounds: Literal["refuse", "drop"] = "refuse"
) -> tuple[_T, dict[str, Any]]:
    """Return the fields that `kind` has, and all others that are not null.

    `api` is whose fields those of `kind` are, for the errors about the others; `bounds` says what
    becomes of others that are too many, too large or nested too deeply.

    Raises Problem that names the offending field, for whatever is not JSON in UTF-8 or not of the
    right types. The body's size is for the caller to bound.
    """
    refuse_too_many_values(body)
    body = utf8(body)
    try:
        try:
            return _decoded(body, kind, api, bounds)
        except msgspec.DecodeError:
            whole = mended(body)
            if whole == body:
                raise
            return _decoded(whole, kind, api, bounds)
    except msgspec.ValidationError as error:
        raise _wrongly_typed(str(error)) from error
    except RecursionError as error:
        raise invalid_request("The request's JSON is nested too deeply.") from error
    except msgspec.DecodeError as error:
        raise _not_json(_reason(body, error)) from error


def decode_within(value: msgspec.Raw, kind: type[_T], path: str) -> _T:
    """Return a value of a body that `decode` has read, which stands at this path.

    Raises Problem that names the offending field.
    """
    try:
        found: _T = _decoder(kind).decode(value)
    except msgspec.ValidationError as error:
        raise _wrongly_typed(str(error), path) from error
    except RecursionError as error:
        raise invalid_value(path, "it is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise invalid_value(path, f"it is not JSON: {error}") from error
    return found


def mended(body: bytes) -> bytes:
    """Return the body with U+FFFD for halves of surrogate pairs that are written as escapes."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _LONE_HALF.sub(rb"\1\\ufffd", body, count=MAX_HALVES)


def field(body: bytes, name: str) -> bytes:
    """Return the JSON of one field of a body that `decode` has taken."""
    fields = _FIELDS.decode(mended(utf8(body)))
    if "extra_body" in fields:
        fields = _merged(fields)
    return bytes(fields.get(name, _NULL))


def utf8(body: bytes) -> bytes:
    """Return the body without its byte order mark, and without halves of surrogate pairs.

    Raises Problem for a body that is empty, or not UTF-8.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _not_json("it is UTF-16; send UTF-8")
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise invalid_request("The request's body is empty; it must be a JSON object.")
    try:
        body.decode()  # msgspec does not look into the strings that it skips
    except UnicodeDecodeError as error:
        return _without_surrogates(body, error)
    return body


def bounded(value: Any, path: str) -> Any:
    """Return the value, if it can be passed on. Raises Problem that names the path."""
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


def whole(value: float | None, path: str) -> int | None:
    """Return a whole number of at most 64 bits, however it is written: 1, 1.0 or 1e0.

    Raises Problem for any other.
    """
    if value is None:
        return None
    if isinstance(value, float) and not value.is_integer():
        raise invalid_value(path, f"expected a whole number, but got {value:g}")
    if not -(2**63) <= value < 2**64:
        raise invalid_value(path, "it takes more than 64 bits")
    return int(value)


def _decoded(
    body: bytes, kind: type[_T], api: str, bounds: Literal["refuse", "drop"]
) -> tuple[_T, dict[str, Any]]:
    fields = _FIELDS.decode(body)
    if bounds == "drop":
        return _decoder(kind).decode(body), _bounded_others(fields, kind)
    if "extra_body" in fields:
        fields = _merged(fields)
        body = msgspec.json.encode(fields)
    return _decoder(kind).decode(body), _others(fields, kind, api)


def _without_surrogates(body: bytes, error: UnicodeDecodeError) -> bytes:
    try:
        utf16 = body.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        raise _not_json(f"it is not UTF-8 at byte {error.start}") from error
    return utf16.decode("utf-16-le", "replace").encode()


def _not_json(reason: str) -> Problem:
    return invalid_request(f"We could not parse the JSON body of your request: {reason}.")


def _reason(body: bytes, error: msgspec.DecodeError) -> str:
    reason = str(error)
    if place := _BYTE.search(reason):
        at = int(place[1])
        before = body[max(at - 4, 0) : at].decode("utf-8", "ignore")
        here = body[at : at + 4].decode("utf-8", "ignore")
        if hint := lookalike(before + here, len(before)):
            return f"{reason}: {hint}"
    return reason


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


def _others(fields: dict[str, msgspec.Raw], kind: type[msgspec.Struct], api: str) -> dict[str, Any]:
    # In the order that they came.
    raw = [(n, value) for n, value in fields.items() if n not in _known(kind) and value != _NULL]
    for name, _ in raw:
        if len(name) > MAX_NAME:
            raise invalid_request(f"No parameter has a name like {quoted(name)}.", name[:MAX_NAME])
    if len(raw) > MAX_EXTRA:
        raise invalid_request(
            f"The request has {len(raw)} fields that are none of {api}'s;"
            f" at most {MAX_EXTRA} are passed on."
        )
    if sum(len(bytes(value)) for _, value in raw) > MAX_EXTRA_BYTES:
        largest = max(raw, key=lambda field: len(bytes(field[1])))[0]
        raise invalid_request(
            f"The fields that are none of {api}'s, such as {quoted(largest)}, are larger than"
            f" {MAX_EXTRA_BYTES // 1024} KiB together.",
            largest,
        )
    return {name: bounded(msgspec.json.decode(value), name) for name, value in raw}


def _bounded_others(fields: dict[str, msgspec.Raw], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return those of the other fields that are within the bounds."""
    others: dict[str, Any] = {}
    left = MAX_EXTRA_BYTES
    for name, value in fields.items():
        size = len(bytes(value))
        if name in _known(kind) or value == _NULL or len(name) > MAX_NAME or size > left:
            continue
        with suppress(Problem, RecursionError):
            others[name] = bounded(msgspec.json.decode(value), name)
            left -= size
        if len(others) == MAX_EXTRA:
            break
    return others


def _within(outer: Any) -> list[Any]:
    """Return the arrays and objects directly within one."""
    values = outer.values() if isinstance(outer, dict) else outer
    return [value for value in values if isinstance(value, dict | list)]


def _wrongly_typed(problem: str, within: str = "") -> Problem:
    """Turn msgspec's error into ours: its place into a param, Python's types into JSON's."""
    place = _PLACE.search(problem)
    param = place[1].replace("[...]", "") if place else ""
    joint = "." if within and param and not param.startswith("[") else ""
    param = f"{within}{joint}{param}" or None
    if field := re.match(r"Object missing required field `(\w+)`", problem):
        return missing(f"{param}.{field[1]}" if param else field[1])
    reason = _PLACE.sub("", problem)
    reason = re.sub(r"\b(str|int|float|bool)\b", lambda word: _JSON_TYPES[word[0]], reason)
    return invalid_value(param, reason)
