"""Requests for messages, from their bytes to the contract's words."""

from __future__ import annotations

from typing import Any

import msgspec

from contract.messages import Format, Model, Native, Options
from gateway.anthropic import fields
from gateway.anthropic.conversation import conversation
from gateway.anthropic.thinking import Depth, depth_of, without_unsigned
from gateway.anthropic.tools import Toolbox, chosen, toolbox_of
from gateway.dialect import Ask
from gateway.problems import invalid_value
from gateway.render.body import decode, mended, utf8
from gateway.render.json_schemas import SchemaReader
from gateway.render.parameters import model_name, token_limit

PATH = "/v1/messages"
"""Where Poe speaks this dialect."""

WEB_SEARCH = "web_search"
"""The parameter by which models of Poe's search the web."""

MAX_STOPS = 128
MAX_STOP = 4_096
"""Stop sequences of a request, and characters of all of them."""


class MessagesAsk(Ask, frozen=True):
    """What a client of the Messages API asks for."""

    shows_thoughts: bool = False
    """Whether the client wants to see what the model thinks."""

    def options_for(self, model: Model | None) -> Options:
        """Return the options, with those of the model's own parameters that it declares."""
        declared = model.parameters if model else {}
        extra = {name: value for name, value in self.options.extra.items() if name in declared}
        return msgspec.structs.replace(self.options, extra=extra)


def parse_message(body: bytes) -> MessagesAsk:
    """Parse a request's body, whose size is for the caller to bound.

    Raises Problem that names the offending field, for whatever is not JSON in UTF-8, not of the
    right types, or cannot be answered in the sense it was meant.
    """
    body = mended(utf8(body))
    asked, extra = decode(body, fields.CreateMessage, bounds="drop")
    depth = depth_of(asked.thinking, asked.output_config)
    return MessagesAsk(
        model=model_name(asked.model),
        messages=conversation(asked),
        options=_options(asked, extra, depth),
        stream=bool(asked.stream),
        shows_thoughts=depth.is_shown,
        native=Native(PATH, (without_unsigned(body),)),
    )


def _options(asked: fields.CreateMessage, extra: dict[str, Any], depth: Depth) -> Options:
    box = toolbox_of(asked.tools or ())
    tools, choice, name = chosen(box, asked.tool_choice)
    stop = _stop(asked)
    return Options(
        temperature=asked.temperature,
        stop=stop,
        top_p=asked.top_p,
        max_tokens=token_limit(asked.max_tokens, "max_tokens"),
        reasoning_effort=depth.effort,
        tools=tools,
        tool_choice=choice,
        tool_name=name,
        parallel_tool_calls=_parallel(asked) if tools else None,
        format=_format(asked),
        extra=_searching(extra, box, asked),
        names_stop=bool(stop),
        thinking_budget=depth.budget,
    )


def _stop(asked: fields.CreateMessage) -> tuple[str, ...]:
    # An empty sequence would stop the answer before its first word.
    stop = tuple(each for each in asked.stop_sequences or () if each)
    if len(stop) > MAX_STOPS or sum(map(len, stop)) > MAX_STOP:
        reason = f"more than {MAX_STOPS} sequences, or {MAX_STOP} characters in all"
        raise invalid_value("stop_sequences", reason)
    return stop


def _parallel(asked: fields.CreateMessage) -> bool | None:
    return False if asked.tool_choice and asked.tool_choice.disable_parallel_tool_use else None


def _searching(extra: dict[str, Any], box: Toolbox, asked: fields.CreateMessage) -> dict[str, Any]:
    may_call = asked.tool_choice is None or asked.tool_choice.type != "none"
    return {WEB_SEARCH: True} | extra if box.searches and may_call else extra


def _format(asked: fields.CreateMessage) -> Format | None:
    config = asked.output_config
    given = config.get("format") if isinstance(config, dict) else None
    path = "output_config.format" if given else "output_format"
    match given or asked.output_format:
        case {"type": "json_schema", "schema": dict(schema)}:
            return Format("", SchemaReader().read(schema, f"{path}.schema"))
        case _:
            return None
