"""Parameters that the APIs of several dialects have in common."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from contract.messages import EFFORTS, Tool
from gateway.problems import invalid_value, missing, quoted
from gateway.render.body import bounded, whole

_MAX_MODEL = 256
"""Characters of a model's name. Every chunk repeats it, and a line must stay below 64 KiB."""
_MAX_TOKENS = 2**53
"""Beyond this a limit is none."""


class Choice(NamedTuple):
    """The tools of a request, and which of them the model may or must call, as in `Options`."""

    tools: tuple[Tool, ...] = ()
    choice: Literal["", "auto", "none", "required"] = ""
    name: str = ""


def model_name(model: str | None) -> str:
    """Return the model's name. Raises Problem for one that none can have."""
    model = (model or "").strip()
    if not model:
        raise missing("model")
    if len(model) > _MAX_MODEL or not model.isprintable():
        raise invalid_value("model", f"no model has a name like {quoted(model)}")
    return model


def token_limit(tokens: float | None, path: str) -> int | None:
    """Return a limit of tokens. None: there is none, for which clients also send 0, -1 or 2**63."""
    if tokens is None or not 0 < tokens <= _MAX_TOKENS:
        return None
    return whole(tokens, path)


def number_in_query(given: str, param: str, least: int, most: int) -> int:
    """Return a whole number from `least` to `most`. Raises Problem for anything else."""
    # Python refuses to convert thousands of digits, leading zeros or not.
    digits = given.lstrip("0") or given[:1]
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(most))
    if not (is_number and least <= int(digits) <= most):
        raise invalid_value(param, f"it must be a whole number from {least} to {most}")
    return int(digits)


def reasoning_effort(effort: str | None, path: str) -> str:
    """Return the effort; empty: none is asked for. Raises Problem for an unknown one."""
    if effort is not None and effort not in EFFORTS:
        raise invalid_value(path, f"{quoted(effort)} is not one of {', '.join(EFFORTS)}")
    return effort or ""


def call_arguments(arguments: str | dict[str, Any] | None, path: str) -> str:
    """Return the arguments of a tool call as JSON; some clients send the object itself.

    Raises Problem that names the path, for one that cannot be passed on.
    """
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return msgspec.json.encode(bounded(arguments, path)).decode()
