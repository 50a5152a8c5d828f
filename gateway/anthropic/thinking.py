"""How much a model may think, from Anthropic's terms to the contract's; and its unsigned thoughts.

Claude Code sends thinking blocks back as they came. Only Anthropic's own models sign theirs, and
refuse what they have not signed. So thoughts of other models are signed with `UNSIGNED`, by which
they are known when they come back: to the model that a conversation has changed to they are not
sent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from contract.messages import EFFORTS
from gateway.render.parameters import token_limit

UNSIGNED = "poe2gpt-unsigned"
"""The signature of thoughts that nobody has signed."""

_NOTHING = msgspec.Raw(b"null")

_DEFAULT = "high"
"""The effort of a model that thinks as it sees fit: Anthropic's default."""

_LEVELS = ((2_048, "low"), (8_192, "medium"))
"""Budgets in tokens, and the efforts of less, for models that know no budget."""


class Depth(NamedTuple):
    """How much a model may think."""

    effort: str = ""
    budget: int | None = None
    """In tokens."""
    is_shown: bool = False
    """Whether the client wants to see what it thinks."""


def depth_of(thinking: object, config: object) -> Depth:
    """Return how much a model may think. What is unknown here asks for nothing."""
    given = config.get("effort") if isinstance(config, dict) else None
    effort = given if isinstance(given, str) and given in EFFORTS else ""
    asked: dict[str, Any] = thinking if isinstance(thinking, dict) else {}
    is_shown = asked.get("display") != "omitted"
    match asked.get("type"):
        case "disabled":
            return Depth("none")
        case "enabled":
            budget = _budget(asked.get("budget_tokens"))
            return Depth(effort or _level(budget), budget, is_shown)
        case "adaptive":
            return Depth(effort or _DEFAULT, None, is_shown)
        case _:
            return Depth(effort)


def without_unsigned(body: bytes) -> bytes:
    """Return a request's body without the thoughts that nobody has signed.

    All other bytes stay as they are: what Anthropic caches is known by them.
    """
    if UNSIGNED.encode() not in body:
        return body
    members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    messages = msgspec.json.decode(members["messages"], type=list[msgspec.Raw])
    kept = [left for message in messages if (left := _signed_only(message)) is not None]
    return _object(members | {"messages": _array(kept)})


def _budget(tokens: object) -> int | None:
    if isinstance(tokens, bool) or not isinstance(tokens, int | float):
        return None
    return token_limit(tokens, "thinking.budget_tokens")


def _level(budget: int | None) -> str:
    return next((effort for less, effort in _LEVELS if budget and budget < less), _DEFAULT)


def _signed_only(message: msgspec.Raw) -> msgspec.Raw | None:
    """Return a message without unsigned thoughts; None: nothing is left of it."""
    if UNSIGNED.encode() not in bytes(message):
        return message
    members = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
    content = members.get("content", _NOTHING)
    if not bytes(content).startswith(b"["):
        return message
    blocks = msgspec.json.decode(content, type=list[msgspec.Raw])
    kept = [block for block in blocks if not _is_unsigned(block)]
    return msgspec.Raw(_object(members | {"content": _array(kept)})) if kept else None


def _is_unsigned(block: msgspec.Raw) -> bool:
    if UNSIGNED.encode() not in bytes(block):
        return False
    found = msgspec.json.decode(block)
    return bool(found.get("type") == "thinking" and found.get("signature") == UNSIGNED)


def _object(members: dict[str, msgspec.Raw]) -> bytes:
    pairs = (msgspec.json.encode(name) + b":" + bytes(value) for name, value in members.items())
    return b"{" + b",".join(pairs) + b"}"


def _array(values: list[msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join(map(bytes, values)) + b"]")
