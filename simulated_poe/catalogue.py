"""The models that GET /v1/models lists: the bots of this package, and some of Poe's.

An item has the shape of a real response of August 2026, odd units included (`created` is in
milliseconds). Prices, limits and dates are only plausible. Each of Poe's models is played by one
of our bots, and by Tool if it supports tools and is given some.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulated_poe.bots import BOTS, Bot, find

_CREATED = 1_754_006_400_000


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    display_name: str
    plays: str
    """The bot that answers, with its variant if it has one."""
    parameters: tuple[dict[str, Any], ...] = ()
    tools: bool = False
    endpoints: tuple[str, ...] = ()
    output: str = "text"
    context: int | None = 200_000
    reasoning: dict[str, Any] | None = None
    price: str | None = "0.0000025758"
    input: tuple[str, ...] = ("text", "image")
    refuses: tuple[str, ...] = ()
    """OpenAI's fields that it refuses."""
    owned_by: str = "simulated"
    searches: bool = False
    """Whether it lists `web_search` as a feature."""
    least_max_tokens: int = 1
    """The smallest `max_tokens` that it accepts."""
    completion_price: str | None = None
    """None: as `price`, which is that of a token of the prompt."""
    cache_read_price: str | None = None
    cache_write_price: str | None = None
    request_price: str | None = None
    """If there is one, each request costs this, and its tokens nothing."""

    @property
    def id(self) -> str:
        return self.display_name.lower()


def _number(name: str, most: float, default: float = 0) -> dict[str, Any]:
    schema = {"type": "number", "minimum": 0, "maximum": most}
    return {"name": name, "schema": schema, "default_value": default, "description": name}


def _choice(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "schema": {"enum": list(values)}, "default_value": values[0]}


def _switch(name: str, *, default: bool) -> dict[str, Any]:
    return {"name": name, "schema": {"type": "boolean"}, "default_value": default}


def _budget(most: int) -> dict[str, Any]:
    return _number("thinking_budget", most)


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

_LOW_TO_HIGH = _choice("reasoning_effort", "low", "medium", "high")
_OUTPUT_EFFORT = _choice("output_effort", "none", "low", "medium", "high", "max")
_LEVEL = _choice("thinking_level", "minimal", "low", "high")
_SEARCH = _switch("web_search", default=True)
_THINKING = _switch("enable_thinking", default=False)
_SAMPLING = (_number("temperature", 2, 1), _number("max_output_tokens", 65_536, 8192))
_TEMPERATURE = ("temperature",)
_SECONDS = _choice("duration", "4", "8", "12")

_OF_OPENAI = (
    Model("GPT-5.4", "reason", (_EFFORTS,), True, _ALL, context=400_000, reasoning=_EFFORT),
    Model("GPT-5.4-Mini", "echo", (_EFFORTS,), True, _ALL, reasoning=_EFFORT),
    Model(
        "GPT-5.4-Pro",
        "reason",
        (_EFFORTS,),
        True,
        _ALL,
        reasoning=_EFFORT,
        refuses=("temperature",),
    ),
    Model(
        "o4-mini",
        "reason",
        (_LOW_TO_HIGH,),
        True,
        _ALL,
        reasoning=_EFFORT,
        refuses=("temperature",),
    ),
    Model("GPT-4o", "echo", (), True, _ALL, context=128_000),
    Model("GPT-4o-Mini", "echo", (), True, _ALL, context=128_000),
    Model("GPT-Image-2", "draw", (_SIZES,), False, ("/v1/images",), "image", None),
    Model("Sora-2", "draw-video", (_SECONDS,), False, ("/v1/videos",), "video", None),
)
_OF_ANTHROPIC = (
    Model(
        "Claude-Opus-4.8",
        "reason",
        (
            _OUTPUT_EFFORT,
            _choice("thinking_display", "summarized", "omitted"),
            _number("task_budget", 1_000_000),
            _SEARCH,
        ),
        True,
        _ALL,
        reasoning=_EFFORT,
    ),
    Model("Claude-Sonnet-4.6", "echo", (_OUTPUT_EFFORT, _SEARCH), True, _ALL, reasoning=_EFFORT),
    Model("Claude-Sonnet-4.5", "echo", (_budget(31_999), _SEARCH), True, _ALL, reasoning=_BUDGET),
    Model("Claude-Haiku-4.5", "echo", (_budget(63_999), _SEARCH), True, _ALL, reasoning=_BUDGET),
)
_OF_GOOGLE = (
    Model(
        "Gemini-3.7-Flash",
        "think",
        (_LEVEL, _SEARCH),
        endpoints=_ALL,
        context=1_048_576,
        reasoning=_EFFORT,
    ),
    Model("Gemini-2.5-Pro", "reason", (_budget(32_768),), True, _ALL, reasoning=_BUDGET),
    Model("Nano-Banana", "draw", (_SIZES,), False, _CHAT, "image", 32_768),
    Model("Veo-3.1", "draw-video", (_SIZES, _SECONDS), False, ("/v1/videos",), "video", None),
)
_OF_OTHERS = (
    Model("Grok-4.6", "reason", (_EFFORTS,), True, _ALL, reasoning=_EFFORT, owned_by="XAI"),
    Model("Kimi-K3", "long", (_EFFORTS,), True, reasoning=_EFFORT, owned_by="Moonshot AI"),
    Model("DeepSeek-V4-Flash", "echo", (_THINKING,), True, owned_by="DeepSeek"),
    Model("GLM-5.2", "echo", (_THINKING,), True, owned_by="Zhipu"),
    Model("Qwen3.7-Plus", "echo", (_THINKING, *_SAMPLING), True, owned_by="Alibaba"),
    Model("Muse-Spark-1.1", "echo", (_EFFORTS, _SEARCH), True, price=None, owned_by="Meta"),
    Model(
        "ElevenLabs-V3",
        "draw-audio",
        (_choice("voice", "Sarah", "George"),),
        output="audio",
        context=None,
        owned_by="ElevenLabs",
    ),
)
_OF_POE = (
    *(msgspec.structs.replace(m, owned_by="OpenAI", least_max_tokens=16) for m in _OF_OPENAI),
    *(msgspec.structs.replace(m, owned_by="Anthropic") for m in _OF_ANTHROPIC),
    *(msgspec.structs.replace(m, owned_by="Google") for m in _OF_GOOGLE),
    *_OF_OTHERS,
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
    Model(bot.name, bot.name.lower(), _PARAMETERS, bot.tools, _CHAT, price=None)
    for bot in BOTS.values()
    if not bot.private
)

# For one of Poe's models, the display name and the id differ in more than case.
_ID_OF = {"muse-spark-1.1": "muse-spark-1-1"}


_MODELS = ("Echo", "Count", "Long", "Reason", "Think")
"""Bots that behave like models without special traits."""


class Answerer(msgspec.Struct, frozen=True):
    """Who answers under a name."""

    bot: Bot
    variant: str
    model: Model
    """Its entry in the catalogue; a variant of a bot has that of the bot."""

    def with_tools(self) -> Answerer:
        """Return who answers a request with tools; a bot that plays exactly stays itself."""
        if not self.model.tools or self.bot.tools or self.bot.exact or self.variant == "notools":
            return self
        return Answerer(BOTS["tool"], "", self.model)

    def with_json(self) -> Answerer:
        """Return who answers a request that has a field for JSON; special bots do themselves."""
        if self.bot.name not in _MODELS:
            return self
        return Answerer(BOTS["json"], "", self.model)


class Catalogue:
    """The models on offer; more can be added while the simulation runs.

    GET /v1/models fails if `status` is not 200.
    """

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.models: list[Model] = []
        self._by_name: dict[str, Model] = {}
        for model in (*_OF_POE, *_SIMULATED):
            self.add(model)

    def __repr__(self) -> str:
        return f"Catalogue({len(self.models)} models, status {self.status})"

    def add(self, model: Model) -> None:
        """Offer one more model."""
        self.models.append(model)
        self._by_name |= {model.id: model, _ID_OF.get(model.id, model.id): model}

    def who_answers(self, name: str) -> Answerer | None:
        """Return who answers under a name, in any case."""
        known = self._by_name.get(name.lower())
        found = find(known.plays if known else name)
        if found is None:
            return None
        bot, variant = found
        own = Model(bot.name, bot.name.lower(), _PARAMETERS, bot.tools)
        return Answerer(bot, variant, known or own)

    def display_name(self, name: str) -> str:
        """Return how Poe writes the name of a bot; one that is not listed, as it is given."""
        known = self._by_name.get(name.lower())
        return known.display_name if known else name

    def listing(self) -> dict[str, Any]:
        """Return the body of GET /v1/models."""
        return {"object": "list", "data": [_item(n, model) for n, model in enumerate(self.models)]}


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
            "input_modalities": list(model.input),
            "output_modalities": [model.output],
            "modality": f"{','.join(model.input)}->{model.output}",
        },
        "supported_features": ["tools"] * model.tools + ["web_search"] * model.searches,
        "supported_endpoints": list(model.endpoints),
        "pricing": _pricing(model),
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


def _pricing(model: Model) -> dict[str, str | None] | None:
    if model.request_price is not None:
        none = dict.fromkeys(("image", "input_cache_read", "input_cache_write"))
        return {"prompt": None, "completion": None, "request": model.request_price, **none}
    if model.price is None:
        return None
    return {
        "prompt": model.price,
        "completion": model.completion_price or model.price,
        "image": None,
        "request": None,
        "input_cache_read": model.cache_read_price,
        "input_cache_write": model.cache_write_price,
    }
