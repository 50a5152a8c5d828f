"""The models that GET /v1/models lists: the bots of this package, and some that Poe has.

The shape of an item, its odd units included (`created` is in milliseconds), is that of a real
answer of August 2026. Prices, limits and dates are only like real ones. What a model of Poe's
answers here is what one of our bots does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulated_poe.bots import BOTS, Bot, find

_CREATED = 1_754_006_400_000


class Model(msgspec.Struct, frozen=True):
    display_name: str
    owned_by: str
    plays: str
    """The bot that answers."""
    parameters: tuple[dict[str, Any], ...] = ()
    tools: bool = False
    endpoints: tuple[str, ...] = ()
    output: str = "text"
    context: int | None = 200_000
    reasoning: dict[str, Any] | None = None
    price: str | None = "0.0000025758"

    @property
    def id(self) -> str:
        return self.display_name.lower()


def _number(name: str, most: float, default: float = 0) -> dict[str, Any]:
    schema = {"type": "number", "minimum": 0, "maximum": most}
    return {"name": name, "schema": schema, "default_value": default, "description": name}


def _choice(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "schema": {"enum": list(values)}, "default_value": values[0]}


_CHAT = ("/v1/chat/completions",)
_ALL = ("/v1/responses", *_CHAT, "/v1/messages")
_EFFORT = {"budget": None, "required": False, "supports_reasoning_effort": True}
_BUDGET = {
    "budget": {"max_tokens": 63999, "min_tokens": 0},
    "required": False,
    "supports_reasoning_effort": False,
}
_EFFORTS = _choice("reasoning_effort", "none", "low", "medium", "high", "xhigh")
_SIZES = _choice("aspect_ratio", "1:1", "3:2", "16:9")

_OF_POE = (
    Model(
        "GPT-5.4", "OpenAI", "reason", (_EFFORTS,), True, _ALL, context=400_000, reasoning=_EFFORT
    ),
    Model("GPT-5.4-Mini", "OpenAI", "echo", (_EFFORTS,), True, _ALL, reasoning=_EFFORT),
    Model("GPT-4o", "OpenAI", "echo", (), True, _ALL, context=128_000),
    Model("GPT-4o-Mini", "OpenAI", "echo", (), True, _ALL, context=128_000),
    Model(
        "Claude-Opus-4.8",
        "Anthropic",
        "reason",
        (_choice("output_effort", "none", "low", "medium", "high", "max"),),
        True,
        _ALL,
        reasoning=_EFFORT,
    ),
    Model(
        "Claude-Haiku-4.5",
        "Anthropic",
        "echo",
        (_number("thinking_budget", 63999),),
        True,
        _ALL,
        reasoning=_BUDGET,
    ),
    Model(
        "Gemini-3.7-Flash",
        "Google",
        "think",
        (_choice("thinking_level", "minimal", "low", "high"),),
        endpoints=_ALL,
        context=1_048_576,
        reasoning=_EFFORT,
    ),
    Model("Grok-4.6", "XAI", "reason", (_EFFORTS,), True, _ALL, reasoning=_EFFORT),
    Model("Kimi-K3", "Moonshot AI", "long", (_EFFORTS,), True, reasoning=_EFFORT),
    Model("DeepSeek-V4-Flash", "DeepSeek", "echo", (_choice("enable_thinking", "true"),), True),
    Model("Muse-Spark-1.1", "Meta", "echo", (_EFFORTS,), True, price=None),
    Model("GPT-Image-2", "OpenAI", "draw", (_SIZES,), False, ("/v1/images",), "image", None),
    Model("Nano-Banana", "Google", "draw", (_SIZES,), False, _CHAT, "image", 32_768),
    Model("Veo-3.1", "Google", "draw", (_SIZES,), False, ("/v1/videos",), "video", None),
)

_PARAMETERS = tuple(
    _number(name, most)
    for name, most in {
        "every": 60,
        "count": 1e6,
        "words": 1e6,
        "seed": 2**31,
        "seconds": 600,
        "events": 1e4,
    }.items()
)
_SIMULATED = tuple(
    Model(bot.name, "simulated", bot.name.lower(), _PARAMETERS, endpoints=_CHAT, price=None)
    for bot in BOTS.values()
)

MODELS = (*_OF_POE, *_SIMULATED)
# Display name and id differ in more than their case for one model of Poe's; so here.
_ID_OF = {"muse-spark-1.1": "muse-spark-1-1"}
_BY_NAME = {name: m for m in MODELS for name in (m.id, _ID_OF.get(m.id, m.id))}
DECLARED = frozenset(parameter["name"] for parameter in _PARAMETERS)


def who_answers(name: str) -> tuple[Bot, str, frozenset[str]] | None:
    """Find the bot behind a name in any case, its variant, and the fields the model declares."""
    model = _BY_NAME.get(name.lower())
    found = find(model.plays if model else name)
    if found is None:
        return None
    declared = frozenset(p["name"] for p in model.parameters) if model else DECLARED
    return *found, declared


def listing() -> dict[str, Any]:
    """The body of GET /v1/models."""
    return {"object": "list", "data": [_item(n, model) for n, model in enumerate(MODELS)]}


def _item(position: int, model: Model) -> dict[str, Any]:
    identifier = _ID_OF.get(model.id, model.id)
    window = {"context_length": model.context, "max_output_tokens": None}
    return {
        "id": identifier,
        "object": "model",
        "created": _CREATED + position * 86_400_123,
        "description": f"{model.display_name}, as simulated by the bot {model.plays}.",
        "owned_by": model.owned_by,
        "root": identifier,
        "architecture": {
            "input_modalities": ["text", "image"],
            "output_modalities": [model.output],
            "modality": f"text,image->{model.output}",
        },
        "supported_features": ["tools"] if model.tools else [],
        "supported_endpoints": list(model.endpoints),
        "pricing": _pricing(model.price),
        "context_window": window if model.context else None,
        "context_length": model.context,
        "metadata": {
            "display_name": model.display_name,
            "image": {"url": "", "alt": model.display_name, "width": 120, "height": 120},
            "url": f"https://poe.com/{model.display_name}",
        },
        "reasoning": model.reasoning,
        "parameters": list(model.parameters),
    }


def _pricing(price: str | None) -> dict[str, str | None] | None:
    if price is None:
        return None
    other = dict.fromkeys(("image", "request", "input_cache_read", "input_cache_write"))
    return {"prompt": price, "completion": price, **other}
