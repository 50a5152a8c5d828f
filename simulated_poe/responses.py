"""Poe's Responses API: what /v1/responses accepts.

Sources: creator.poe.com's createResponse (2026) and a user's tests of May 2026: `instructions` are
ignored, and `previous_response_id` fails. OpenAI's models refuse what they refuse at OpenAI.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simulated_poe import items, tools
from simulated_poe.ask import Ask, conversation_of
from simulated_poe.attachments import of_parts
from simulated_poe.catalogue import Model
from simulated_poe.chat import message_of
from simulated_poe.failures import Malformed
from simulated_poe.schemas import beyond_strict
from simulated_poe.settings import Settings

_FIELDS = frozenset(
    {"model", "input", "instructions", "stream", "max_output_tokens", "temperature", "top_p"}
    | {"reasoning", "text", "tools", "tool_choice", "parallel_tool_calls", "truncation", "include"}
    | {"previous_response_id", "metadata", "service_tier", "store"}
)
"""Those of Poe's page."""

_NO_RETENTION = "Previous response cannot be used for this organization due to Zero Data Retention."


class _Format(msgspec.Struct, frozen=True):
    type: str
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    effort: str | None = None
    summary: str | None = None


class _Fields(msgspec.Struct, frozen=True):
    """The fields whose types are checked as a whole."""

    text: _Text | None = None
    reasoning: _Reasoning | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    previous_response_id: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """The form that the answer should have."""

    stream: bool
    summary: bool
    """Whether thoughts are told."""


def from_request(body: Any, model: Model, settings: Settings) -> tuple[Ask, Wanted]:
    """Read the body of a Responses request for a model. Raises Malformed."""
    if not isinstance(body, dict):
        raise Malformed("The body must be a JSON object.")
    for name in body.keys() - _FIELDS:
        raise Malformed(f"Unknown parameter: '{name}'.")
    try:
        fields = msgspec.convert(body, _Fields)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from None
    _check(fields, body, model)
    given = items.messages_of(body.get("input"))
    messages = [message_of(message) for message in given]
    wanted = fields.text.format if fields.text else None
    if wanted is not None:
        _check_format(wanted, messages, model)
    wishes = tools.of_chat(items.tools_of(body), given, settings.tool_rounds)
    texts = [content for role, content in messages if role == "user"]
    ask = Ask(
        text=texts[-1] if texts else "",
        parameters={},
        received=body,
        conversation=conversation_of(messages),
        messages=tuple(messages),
        attachments=tuple(
            found
            for message in given
            if isinstance(message["content"], list)
            for found in of_parts(message["content"])
        ),
        tools=wishes.tools,
        done=wishes.done,
        must_call=wishes.must_call,
        parallel=wishes.parallel,
        max_tokens=fields.max_output_tokens,
        thoughts_apart=True,
        wants_json=wanted is not None and wanted.type != "text",
        schema=wanted.schema if wanted else None,
    )
    summary = fields.reasoning is not None and fields.reasoning.summary is not None
    return ask, Wanted(bool(fields.stream), summary)


def _check(fields: _Fields, body: dict[str, Any], model: Model) -> None:
    is_openais = model.owned_by == "OpenAI"
    if fields.previous_response_id is not None:
        raise Malformed(_NO_RETENTION if is_openais else "Internal server error")
    reasoning = {"reasoning.effort", "reasoning.summary"} & _paths(body)
    refused = {*model.refuses} & _paths(body) | (set() if model.reasoning else reasoning)
    for name in refused:
        raise Malformed(f"Unsupported parameter: '{name}' is not supported with this model.")
    tokens = fields.max_output_tokens
    if tokens is not None and tokens < model.least_max_tokens:
        raise Malformed(
            "Invalid 'max_output_tokens': integer below minimum value. "
            f"Expected a value >= {model.least_max_tokens}, but got {tokens} instead."
        )
    for name, value, most in (("temperature", fields.temperature, 2), ("top_p", fields.top_p, 1)):
        if value is not None and not 0 <= value <= most:
            raise Malformed(f"Invalid '{name}': expected a value from 0 to {most}.")


def _paths(body: dict[str, Any]) -> set[str]:
    inner = {
        f"{name}.{key}"
        for name, value in body.items()
        if isinstance(value, dict)
        for key, each in value.items()
        if each is not None
    }
    return {name for name, value in body.items() if value is not None} | inner


def _check_format(wanted: _Format, messages: list[tuple[str, str]], model: Model) -> None:
    if wanted.type == "json_schema":
        if not wanted.name or wanted.schema is None:
            raise Malformed("Missing required parameter: 'text.format.name' or its schema.")
        reason = beyond_strict(wanted.schema) if wanted.strict else None
        if reason and model.owned_by == "OpenAI":
            raise Malformed(f"Invalid schema for response_format '{wanted.name}': {reason}")
    elif wanted.type == "json_object":
        if not any("json" in text.lower() for _, text in messages):
            raise Malformed(
                "Response input messages must contain the word 'json' in some form to use "
                "'text.format' of type 'json_object'."
            )
    elif wanted.type != "text":
        raise Malformed(f"Invalid value: '{wanted.type}'. (text.format.type)")
