"""Translates a job into the body of a bot query (creator.poe.com/docs/poe-protocol-specification).

Only what was asked for is sent. The official client also sends every default and null; Poe answers
without them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from contract.messages import MediaPart, Message, Model, Options, Tool
from worker.bot.rounds import PastCall, PastResult, Rounds, rounds_of
from worker.poe.attachments import Attachment
from worker.poe.faults import Fault, FaultKind
from worker.poe.parameters import parameters_of
from worker.poe.roles import conversation_of, flattened, text_of
from worker.poe.upstream import Ask

PROTOCOL_VERSION = "1.2"

_ROLES = {"system": "system", "user": "user", "assistant": "bot", "tool": "user"}
_SKIP_SYSTEM_PROMPT = "skip_system_prompt"
"""Poe's field for a bot that shall add as little to the conversation as it can."""


class ProtocolMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of the conversation, in Poe's terms."""

    role: str
    content: str
    content_type: str
    attachments: tuple[Attachment, ...] = ()
    parameters: dict[str, Any] = {}
    """The model's own settings; Poe reads those of the last user message."""


class Function(msgspec.Struct, frozen=True):
    """A function that the model may call; Poe's library requires all three fields."""

    name: str
    description: str
    parameters: dict[str, Any]


class FunctionTool(msgspec.Struct, frozen=True, tag="function", tag_field="type"):
    """One entry of `tools`."""

    function: Function


class Query(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of `POST /bot/{bot}`; the three ids are empty for callers with an API key."""

    version: str
    type: str
    query: list[ProtocolMessage]
    user_id: str
    conversation_id: str
    message_id: str
    temperature: float | None = None
    stop_sequences: tuple[str, ...] = ()
    logit_bias: dict[str, float] | None = None
    skip_system_prompt: bool = False
    tools: tuple[FunctionTool, ...] = ()
    tool_calls: tuple[PastCall, ...] = ()
    tool_results: tuple[PastResult, ...] = ()


def query_of(ask: Ask) -> Query:
    """Translate a job.

    Raises Fault(BAD_REQUEST) for a conversation without messages, to which Poe's own server
    library answers with an IndexError, and for a field of Poe's own with a value of no use.
    """
    job, model, attachments = ask.job, ask.model, ask.attachments
    said = conversation_of(job)
    options = job.options
    # Poe knows no `tool_choice`: that a certain tool must be called is said by offering no other.
    tools = tuple(_function(tool) for tool in options.callable_tools)
    rounds = _rounds(said, native=bool(tools))
    messages = flattened(rounds.messages, ask.simulate_roles)
    parameters, bearer = _parameters(options, model), _last_of_the_user(messages)
    return Query(
        version=PROTOCOL_VERSION,
        type="query",
        query=[
            _message(message, attachments, parameters if at == bearer else {})
            for at, message in enumerate(messages)
        ],
        user_id="",
        conversation_id="",
        message_id="",
        temperature=options.temperature,
        # A bot does not tell which of them has ended the answer; the worker does, if it ends it.
        stop_sequences=() if options.names_stop else options.stop,
        logit_bias=options.logit_bias or None,
        skip_system_prompt=_skip_system_prompt(options),
        tools=tools,
        tool_calls=rounds.calls,
        tool_results=rounds.results,
    )


def _function(tool: Tool) -> FunctionTool:
    # Poe's library requires `type` and `properties`, and takes null for nothing at this level.
    told = {key: value for key, value in (tool.parameters or {}).items() if value is not None}
    schema = {"type": "object", "properties": {}} | told
    return FunctionTool(Function(tool.name, tool.description, schema))


def _rounds(messages: tuple[Message, ...], *, native: bool) -> Rounds:
    """Decide where past tool calls go: Poe takes its lists of them only beside the tools."""
    rounds = rounds_of(messages) if native else Rounds(messages)
    return rounds if rounds.messages else Rounds(messages)


def _skip_system_prompt(options: Options) -> bool:
    asked = options.extra.get(_SKIP_SYSTEM_PROMPT)
    if asked is None or isinstance(asked, bool):
        return bool(asked)
    raise Fault(
        FaultKind.BAD_REQUEST, f"`{_SKIP_SYSTEM_PROMPT}` must be true or false.", sent=False
    )


def _parameters(options: Options, model: Model | None) -> dict[str, Any]:
    parameters = parameters_of(options, model)
    return {name: value for name, value in parameters.items() if name != _SKIP_SYSTEM_PROMPT}


def _message(
    message: Message, attachments: Mapping[MediaPart, Attachment], parameters: dict[str, Any]
) -> ProtocolMessage:
    return ProtocolMessage(
        role=_ROLES[message.role],
        content=text_of(message),
        content_type="text/markdown",
        attachments=tuple(attachments[part] for part in message.media),
        parameters=parameters,
    )


def _last_of_the_user(messages: Sequence[Message]) -> int:
    """Return the place of the message whose parameters Poe reads; without a user, the last."""
    users = [at for at, message in enumerate(messages) if _ROLES[message.role] == "user"]
    return users[-1] if users else len(messages) - 1
