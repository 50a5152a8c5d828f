"""Requests for responses, from their bytes to the contract's words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self

import msgspec

from contract.messages import Format, Model, Options
from gateway.dialect import Ask, Keep
from gateway.problems import (
    invalid_request,
    invalid_value,
    missing,
    previous_not_found,
    quoted,
    unsupported_value,
)
from gateway.render.body import decode, field
from gateway.render.json_schemas import SchemaReader
from gateway.render.parameters import model_name, reasoning_effort, token_limit
from gateway.responses import fields
from gateway.responses.ids import job_of
from gateway.responses.items import conversation
from gateway.responses.tools import Toolbox, chosen, searches, toolbox_of

_SUMMARIES = ("auto", "concise", "detailed")

WEB_SEARCH = "web_search"
"""The parameter by which models of Poe's search the web."""


class ResponsesAsk(Ask, frozen=True):
    """What a client of the Responses API asks for."""

    echo: str = ""
    """The fields that a response repeats, as the members of a JSON object."""
    custom: tuple[str, ...] = ()
    """The functions that stand for custom tools."""
    namespaced: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    """Functions by their names, each with its namespace and its name within that."""

    def shown_for(self, model: Model | None) -> Self:
        """Return the request without a search of the web that this model has no parameter for."""
        declared = model.parameters if model else {}
        if WEB_SEARCH in declared or not self.options.extra.get(WEB_SEARCH):
            return self
        shown = json.loads(f"{{{self.echo}}}")
        shown["tools"] = [tool for tool in shown["tools"] if not searches(tool["type"])]
        return msgspec.structs.replace(self, echo=_members(shown))

    def options_for(self, model: Model | None) -> Options:
        """Return the options, with those of the model's own parameters that it declares.

        A search of the web may also be a feature, for which Poe's Responses API has a tool.
        """
        known = {*model.parameters, *model.features} if model else ()
        extra = {name: value for name, value in self.options.extra.items() if name in known}
        return msgspec.structs.replace(self.options, extra=extra)


def parse_response(body: bytes) -> ResponsesAsk:
    """Parse a request's body, whose size is for the caller to bound.

    Raises Problem that names the offending field, for whatever is not JSON in UTF-8, not of the
    right types, or cannot be answered in the sense it was meant.
    """
    return parse_after(body, ())


def parse_after(body: bytes, earlier: Sequence[bytes]) -> ResponsesAsk:
    """Parse a request's body that goes on from these items; otherwise as `parse_response`."""
    asked, extra = decode(body, fields.CreateResponse)
    _refuse_what_is_not_kept(asked)
    box = toolbox_of(asked.tools or ())
    return ResponsesAsk(
        model=model_name(asked.model),
        messages=conversation(asked, box, earlier),
        options=_options(asked, extra, box),
        stream=bool(asked.stream),
        echo=_echo(asked, box),
        custom=tuple(sorted(box.custom)),
        namespaced=box.namespaced,
        previous=_previous(asked),
        keep=_keep(asked, body),
    )


def _refuse_what_is_not_kept(asked: fields.CreateResponse) -> None:
    if asked.input is None and bytes(asked.messages) != b"null":
        raise invalid_request(
            "This is the Responses API, which wants `input`; the request has `messages`, which"
            " belongs to chat completions. Send it to /v1/chat/completions.",
            "input",
            "missing_required_parameter",
        )
    if bytes(asked.conversation) != b"null":
        reason = (
            "this server keeps no conversations; name the last response as `previous_response_id`"
        )
        raise unsupported_value("conversation", reason)
    if bytes(asked.prompt) != b"null":
        reason = "this server keeps no prompts; send the text as `instructions` or `input`"
        raise unsupported_value("prompt", reason)


def _previous(asked: fields.CreateResponse) -> str:
    if not asked.previous_response_id:
        return ""
    job = job_of(asked.previous_response_id)
    if job is None:
        raise previous_not_found(asked.previous_response_id)
    return job


def _is_kept(asked: fields.CreateResponse) -> bool:
    return asked.store is not False or bool(asked.background)


def _keep(asked: fields.CreateResponse, body: bytes) -> Keep | None:
    if not _is_kept(asked):
        return None
    return Keep(field(body, "input"), background=bool(asked.background))


def _options(asked: fields.CreateResponse, extra: dict[str, Any], box: Toolbox) -> Options:
    tools, choice, name = chosen(box, asked.tool_choice)
    if asked.text is not None and asked.text.verbosity is not None:
        extra = {"verbosity": asked.text.verbosity} | extra
    if box.searches and asked.tool_choice != "none":
        extra = {WEB_SEARCH: True} | extra
    reasoning = asked.reasoning or fields.Reasoning()
    return Options(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=token_limit(asked.max_output_tokens, "max_output_tokens"),
        reasoning_effort=reasoning_effort(reasoning.effort, "reasoning.effort"),
        tools=tools,
        tool_choice=choice,
        tool_name=name,
        parallel_tool_calls=asked.parallel_tool_calls if tools else None,
        format=_format(asked.text.format if asked.text else None),
        extra=extra,
        summary=_summary(reasoning.summary or reasoning.generate_summary),
    )


def _summary(asked: str | None) -> str:
    """Return the kind of summary; empty: none, and so for a kind that is not known yet."""
    return asked if asked in _SUMMARIES else ""


def _format(asked: fields.TextFormat | None) -> Format | None:
    match asked:
        case None | fields.TextFormat(type="text"):
            return None
        case fields.TextFormat(type="json_object"):
            return Format()
        case fields.TextFormat(type="json_schema", schema=None):
            raise missing("text.format.schema")
        case fields.TextFormat(type="json_schema"):
            schema = SchemaReader().read(asked.schema, "text.format.schema")
            return Format(asked.name or "", schema)
        case _:
            reason = f"{quoted(asked.type)} is not one of text, json_object, json_schema"
            raise invalid_value("text.format.type", reason)


def _echo(asked: fields.CreateResponse, box: Toolbox) -> str:
    """Return what a response repeats of its request, as OpenAI's do."""
    text = asked.text or fields.TextConfig()
    reasoning = asked.reasoning or fields.Reasoning()
    shown: dict[str, Any] = {
        "instructions": _plain(asked.instructions),
        "max_output_tokens": token_limit(asked.max_output_tokens, "max_output_tokens"),
        "metadata": asked.metadata or {},
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": asked.previous_response_id or None,
        "prompt_cache_key": asked.prompt_cache_key,
        "reasoning": {"effort": reasoning.effort, "summary": reasoning.summary},
        "safety_identifier": asked.safety_identifier,
        "store": _is_kept(asked),
        "temperature": asked.temperature,
        "text": {"format": _shown_format(text.format), "verbosity": text.verbosity or "medium"},
        "tool_choice": _plain(asked.tool_choice) or "auto",
        "tools": box.honoured,
        "top_p": asked.top_p,
        "truncation": asked.truncation or "disabled",
    }
    if asked.user is not None:
        shown["user"] = asked.user
    return _members(shown)


def _members(shown: dict[str, Any]) -> str:
    return json.dumps(shown, separators=(",", ":"))[1:-1]


def _shown_format(asked: fields.TextFormat | None) -> dict[str, Any]:
    if asked is None or asked.type != "json_schema":
        return {"type": asked.type if asked else "text"}
    return {
        "type": "json_schema",
        "name": asked.name or "",
        "description": asked.description or "",
        "schema": asked.schema,
        "strict": bool(asked.strict),
    }


def _plain(value: Any) -> Any:
    """Return a value without the fields that are null."""
    if isinstance(value, list):
        return [_plain(each) for each in value if each is not None]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    return _plain(msgspec.to_builtins(value)) if isinstance(value, msgspec.Struct) else value
