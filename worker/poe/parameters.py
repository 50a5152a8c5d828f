"""Translates a client's options into the parameters that a model declares in Poe's catalogue.

Each family of models has a parameter of its own for reasoning, and Poe's OpenAI API refuses a field
that the model does not declare. So a neutral effort sets whichever of these parameters there is,
and what a client sends beyond OpenAI's fields is passed on only where the catalogue declares it.
"""

from __future__ import annotations

import math
import re
from typing import Any

from contract.messages import EFFORTS, Model, Options
from worker.poe.faults import Fault, FaultKind

_LEVELS = ("reasoning_effort", "output_effort", "thinking_level")
"""Parameters whose values are some of these efforts."""

_BUDGET, _SWITCH = "thinking_budget", "enable_thinking"
_KNOBS = frozenset({*_LEVELS, _BUDGET, _SWITCH})

_SHARES = {
    "none": 0.0,
    "minimal": 0.1,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": 0.95,
    "max": 1.0,
}
"""The share of a thinking budget that an effort stands for, as OpenRouter has it."""

_SIZES = ("size", "aspect_ratio", "aspect")
"""Parameters whose values are sizes in pixels, or ratios of them."""

_EXTENT = re.compile(r"([1-9]\d{0,4})[x:]([1-9]\d{0,4})")

_TYPES: dict[object, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}
_NAMES = {
    "string": "a string",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
}

Schema = dict[str, Any]


def parameters_of(options: Options, model: Model | None) -> dict[str, Any]:
    """Return the model's own parameters that follow from the options.

    What the model does not declare is left out; for a model that is not in the catalogue, nothing
    is. A parameter that the client set itself is never overridden.

    Raises Fault(BAD_REQUEST), which names the parameter, for a value that its schema forbids.
    """
    if model is None:
        effort = {_LEVELS[0]: options.reasoning_effort} if options.reasoning_effort else {}
        return effort | options.extra
    declared = model.parameters
    extra = _fitted(options.extra, declared)
    own = {name: value for name, value in extra.items() if name in declared}
    for name, value in own.items():
        if problem := _problem(value, declared[name]):
            message = f"`{name}` must be {problem}."
            raise Fault(FaultKind.BAD_REQUEST, message, sent=False, param=name)
    return _turned(options, declared) | _counterparts(options, declared) | own


def thinks(model: Model | None) -> bool:
    """Return whether a model may show its thoughts: the catalogue says so, or nobody knows.

    The catalogue says so of 38 models; others have a parameter for it.
    """
    return model is None or model.reasons or not _KNOBS.isdisjoint(model.parameters)


def _turned(options: Options, declared: dict[str, Schema]) -> dict[str, Any]:
    """Set the parameters for reasoning, unless the client has set one itself."""
    effort = options.reasoning_effort
    if effort not in EFFORTS or not _KNOBS.isdisjoint(options.extra):
        return {}
    level = next((name for name in _LEVELS if name in declared), None)
    values: dict[str, Any] = {}
    if level is not None:
        values[level] = _nearest(effort, declared[level])
    elif _BUDGET in declared:
        values[_BUDGET] = _budget(options, declared[_BUDGET])
    if _SWITCH in declared:
        values[_SWITCH] = _switch(effort != "none", declared[_SWITCH])
    return {name: value for name, value in values.items() if value is not None}


def _nearest(effort: str, schema: Schema) -> Any:
    """Choose the allowed value nearest to the effort, the higher of two; None: there is none.

    That is as Google maps efforts to the levels of its models. Only `none` means none.
    """
    allowed = schema.get("enum")
    if not isinstance(allowed, list):
        return effort
    ranks = {EFFORTS.index(v.lower()): v for v in allowed if _is_effort(v)}
    if effort != "none" and len(ranks) > 1:
        ranks.pop(0, None)
    asked = EFFORTS.index(effort)
    return ranks[min(ranks, key=lambda rank: (abs(rank - asked), -rank))] if ranks else None


def _is_effort(value: object) -> bool:
    return isinstance(value, str) and value.lower() in EFFORTS


def _budget(options: Options, schema: Schema) -> int | None:
    """Return the budget that the client has set, within its bounds, or scale the effort into them.

    Thoughts count towards `max_tokens`.
    """
    least, most = _bound(schema, "minimum") or 0, _bound(schema, "maximum")
    if most is None:
        return None
    if options.max_tokens is not None:
        most = max(least, min(most, options.max_tokens))
    if options.thinking_budget is not None:
        return round(min(max(least, options.thinking_budget), most))
    return round(least + _SHARES[options.reasoning_effort] * (most - least))


def _switch(on: bool, schema: Schema) -> Any:
    """Choose the value for on or off, a boolean or its name; None: there is none."""
    allowed = schema.get("enum")
    if isinstance(allowed, list):
        return next((value for value in allowed if str(value).lower() == str(on).lower()), None)
    return str(on).lower() if schema.get("type") == "string" else on


def _counterparts(options: Options, declared: dict[str, Schema]) -> dict[str, Any]:
    """Set standard options that the model declares as parameters, some under another name."""
    values: dict[str, Any] = {}
    if options.top_p is not None and "top_p" in declared:
        values["top_p"] = options.top_p
    name = next((name for name in ("max_output_tokens", "max_tokens") if name in declared), None)
    if options.max_tokens is not None and name is not None:
        least, most = (_bound(declared[name], bound) for bound in ("minimum", "maximum"))
        count = options.max_tokens if most is None else min(options.max_tokens, int(most))
        values[name] = count if least is None else max(count, int(least))
    return values


def _fitted(extra: dict[str, Any], declared: dict[str, Schema]) -> dict[str, Any]:
    """Replace a size that the model does not know by its own one that is nearest in shape.

    `auto`, as OpenAI has it, asks for nothing.
    """
    size = extra.get("size")
    asked = _extent(size)
    known = "size" in declared and not _problem(size, declared["size"])
    if known or (asked is None and size != "auto"):
        return extra
    rest = {name: value for name, value in extra.items() if name != "size"}
    if asked is None:
        return rest
    if not rest.keys().isdisjoint(_SIZES):
        return extra
    for name in _SIZES:
        if (fitting := _nearest_in_shape(asked, declared.get(name, {}))) is not None:
            return rest | {name: fitting}
    return extra


def _nearest_in_shape(asked: tuple[int, int], schema: Schema) -> str | None:
    """Choose the value that differs least in shape, and of such the nearest in size."""
    allowed = schema.get("enum")
    known = {v: e for v in allowed if (e := _extent(v))} if isinstance(allowed, list) else {}

    def difference(value: str) -> tuple[float, float]:
        width, height = known[value]
        # Rounded, so that ratios which are equal compare as such.
        ratio = math.log(width * asked[1]) - math.log(height * asked[0])
        area = math.log(width * height) - math.log(asked[0] * asked[1])
        return round(abs(ratio), 9), abs(area)

    return min(known, key=difference) if known else None


def _extent(value: object) -> tuple[int, int] | None:
    """Read width and height, of `1024x768` or `4:3`."""
    match = _EXTENT.fullmatch(value.lower()) if isinstance(value, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _problem(value: object, schema: Schema) -> str:
    """Return what the value must be; empty if the schema admits it."""
    allowed, kind = schema.get("enum"), schema.get("type")
    if isinstance(allowed, list):
        return "" if _is_among(value, allowed) else f"one of {_listed(allowed)}"
    if isinstance(kind, str) and kind in _TYPES and not _is_a(kind, value):
        return _NAMES[kind]
    least, most = _bound(schema, "minimum"), _bound(schema, "maximum")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if least is not None and value < least:
            return f"at least {least}"
        if most is not None and value > most:
            return f"at most {most}"
    return ""


def _is_among(value: object, allowed: list[Any]) -> bool:
    # In Python, 1 equals True.
    return any(v == value and isinstance(v, bool) is isinstance(value, bool) for v in allowed)


def _is_a(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _bound(schema: Schema, name: str) -> float | None:
    bound = schema.get(name)
    return bound if isinstance(bound, int | float) and not isinstance(bound, bool) else None


def _listed(allowed: list[Any]) -> str:
    return ", ".join(map(str, allowed[:20]))
