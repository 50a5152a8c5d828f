"""Poe's Anthropic interface: what /v1/messages accepts.

Sources: creator.poe.com's createMessage (the body goes to the provider almost unchanged),
Anthropic's reference, and users' reports: `context_management` is a 400 whose message is JSON in a
string.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from simulated_poe.ask import Ask, conversation_of
from simulated_poe.attachments import Attachment
from simulated_poe.catalogue import Model
from simulated_poe.failures import Malformed
from simulated_poe.settings import Settings
from simulated_poe.signatures import is_hidden, signature
from simulated_poe.tools import Done, Tool

_FIELDS = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "metadata",
        "stop_sequences",
        "stream",
        "thinking",
    }
    | {"temperature", "top_k", "top_p", "tools", "tool_choice", "output_config", "cache_control"}
)
_OF_TOOLS = frozenset({"type", "name", "description", "input_schema", "cache_control"})
_BLOCKS = frozenset(
    {"text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use"}
    | {"tool_result", "server_tool_use", "web_search_tool_result"}
)
_SOURCES = frozenset({"base64", "url", "text", "content"})
_WAYS_TO_THINK = {
    "enabled": {"type", "budget_tokens", "display"},
    "adaptive": {"type", "display"},
    "disabled": {"type"},
}
_DISPLAYS = (None, "summarized", "omitted")
_LEAST_BUDGET = 1024
_ROLES = {"user": "user", "assistant": "bot", "system": "system"}
_EXTRA = "Extra inputs are not permitted"
_NO_TAG = "Unable to extract tag using discriminator 'type'"
_TAG = "Input tag '{}' found using 'type' does not match any of the expected tags"


class Form(msgspec.Struct, frozen=True):
    """The form that the answer should have."""

    stream: bool
    thinks: bool
    """Whether the model may think before it answers."""
    prefixes: tuple[tuple[str, int], ...]
    """What is to be cached, and all that it begins with: hashes, and how many words each has."""
    hides: bool = False
    """Whether a thought is hidden from the client: the question has the word "redacted"."""
    cuts: bool = False
    """Whether a stream that fails is cut."""


def from_request(
    body: Any, headers: Mapping[str, str], model: Model, settings: Settings
) -> tuple[Ask, Form]:
    """Read the body of a request for a model. Raises Malformed."""
    if not headers.get("anthropic-version"):
        raise Malformed("anthropic-version: header is required")
    _check_betas(headers.get("anthropic-beta", ""), settings)
    if not isinstance(body, dict):
        raise Malformed("The body must be a JSON object.")
    _check_fields(body)
    max_tokens = body.get("max_tokens")
    if not isinstance(max_tokens, int) or max_tokens < 1:
        raise Malformed("max_tokens: Field required")
    thinks = _thinks(body, max_tokens, model)
    given = _messages(body, settings)
    _check_thoughts(given, thinks=thinks)
    messages = [("system", _text(body.get("system")))] if body.get("system") else []
    messages += [(_role(each), _text(each["content"])) for each in given]
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    tools = _tools(body)
    if kind == "tool" and choice.get("name") not in {tool.name for tool in tools}:
        raise Malformed(f"tool_choice: no tool is named {choice.get('name')}")
    named = [tool for tool in tools if kind != "tool" or tool.name == choice.get("name")]
    texts = [_text(each["content"]) for each in given if _is_question(each)]
    ask = Ask(
        text=texts[-1] if texts else "",
        parameters={},
        received=body,
        conversation=conversation_of(messages),
        messages=tuple(messages),
        attachments=tuple(_attachments(given)),
        tools=() if kind == "none" else tuple(named),
        done=tuple(_done(given)),
        must_call=kind in ("any", "tool"),
        parallel=not choice.get("disable_parallel_tool_use"),
        stop=tuple(body.get("stop_sequences") or ()),
        max_tokens=max_tokens,
        thoughts_apart=True,
    )
    hides, cuts = "redacted" in ask.text, settings.late_errors == "cut"
    return ask, Form(bool(body.get("stream")), thinks, _prefixes(body), hides=hides, cuts=cuts)


def _check_betas(header: str, settings: Settings) -> None:
    unknown = {beta.strip() for beta in header.split(",")} & set(settings.refused_betas)
    if unknown:
        names = ", ".join(f"`{beta}`" for beta in sorted(unknown))
        raise Malformed(f"Unexpected value(s) {names} for the `anthropic-beta` header.")


def _check_fields(body: dict[str, Any]) -> None:
    unknown = [f"{name}: {_EXTRA}" for name in body if name not in _FIELDS]
    for number, tool in enumerate(body.get("tools") or []):
        kind = tool.get("type") or "custom"
        if kind != "custom":
            raise Malformed(f"tools.{number}: {_TAG.format(kind)}: 'custom'")
        extra = tool.keys() - _OF_TOOLS
        unknown += [f"tools.{number}.custom.{name}: {_EXTRA}" for name in sorted(extra)]
    if unknown:
        raise Malformed("\n".join(unknown))
    for name, most in (("temperature", 1), ("top_p", 1)):
        value = body.get(name)
        if value is not None and (not isinstance(value, int | float) or not 0 <= value <= most):
            raise Malformed(f"{name}: Input should be a number from 0 to {most}")
    if not all(isinstance(each, str) and each.strip() for each in body.get("stop_sequences") or ()):
        raise Malformed("stop_sequences: each stop sequence must contain non-whitespace")


def _thinks(body: dict[str, Any], max_tokens: int, model: Model) -> bool:
    if body.get("thinking") is None:
        return False
    thinking, kind = body["thinking"], _kind(body["thinking"], "thinking")
    fields = _WAYS_TO_THINK.get(kind)
    if fields is None or (kind == "adaptive" and not _is_adaptive(model)):
        raise Malformed(f"thinking: {_TAG.format(kind)}: 'disabled', 'enabled'")
    if extra := sorted(thinking.keys() - fields):
        raise Malformed(f"thinking.{kind}.{extra[0]}: {_EXTRA}")
    if thinking.get("display") not in _DISPLAYS:
        raise Malformed(f"thinking.{kind}.display: Input should be 'summarized' or 'omitted'")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < _LEAST_BUDGET:
            raise Malformed("thinking.enabled.budget_tokens: Input should be at least 1024")
        if budget >= max_tokens:
            raise Malformed("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return kind != "disabled"


def _kind(value: Any, place: str) -> str:
    """Return the type of an object. Raises Malformed, in the words of Anthropic's validator."""
    if not isinstance(value, dict):
        raise Malformed(f"{place}: Input should be a valid dictionary or object")
    kind = value.get("type")
    if kind is None:
        raise Malformed(f"{place}: {_NO_TAG}")
    return str(kind)


def _is_adaptive(model: Model) -> bool:
    return any(parameter["name"] == "output_effort" for parameter in model.parameters)


def _messages(body: dict[str, Any], settings: Settings) -> list[dict[str, Any]]:
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise Malformed("messages: at least one message is required")
    for number, message in enumerate(given):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise Malformed(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        if message["role"] == "system" and settings.system_messages == "refused":
            raise Malformed(
                f'messages.{number}: Unexpected role "system". The Messages API accepts a top-level'
                ' `system` parameter, not "system" as an input message role.'
            )
        if not message.get("content") and number < len(given) - 1:
            raise Malformed(f"messages.{number}: content must be non-empty")
        _check_blocks(message.get("content"), f"messages.{number}.content")
    _check_rounds(given)
    return given


def _check_blocks(content: Any, place: str) -> None:
    for number, block in enumerate(content if isinstance(content, list) else ()):
        at = f"{place}.{number}"
        kind = _kind(block, at)
        if kind not in _BLOCKS:
            raise Malformed(f"{at}: {_TAG.format(kind)}: 'text', …")
        if kind in ("image", "document"):
            source = _kind(block.get("source"), f"{at}.{kind}.source")
            if source not in _SOURCES:
                raise Malformed(f"{at}.{kind}.source: {_TAG.format(source)}: 'base64', 'url'")
        if kind == "tool_result":
            _check_blocks(block.get("content"), f"{at}.tool_result.content")


def _check_rounds(given: list[dict[str, Any]]) -> None:
    """Each use of a tool has its result in the very next message, and the other way round."""
    waiting: set[str] = set()
    for number, message in enumerate(given):
        blocks = _blocks(message["content"])
        results = {each["tool_use_id"] for each in blocks if each["type"] == "tool_result"}
        if missing := sorted(waiting - results):
            names = ", ".join(missing)
            raise Malformed(
                f"messages.{number}: `tool_use` ids were found without `tool_result` blocks"
                f" immediately after: {names}"
            )
        if strange := sorted(results - waiting):
            raise Malformed(f"messages.{number}: unexpected `tool_use_id` found: {strange[0]}")
        waiting = {each["id"] for each in blocks if each["type"] == "tool_use"}
    if waiting:
        raise Malformed(f"messages: `tool_use` ids without `tool_result`: {sorted(waiting)}")


def _check_thoughts(given: list[dict[str, Any]], *, thinks: bool) -> None:
    for number, message in enumerate(given):
        for position, block in enumerate(_blocks(message["content"])):
            place = f"messages.{number}.content.{position}"
            kind = block["type"]
            if kind == "thinking" and block.get("signature") != signature(block["thinking"]):
                raise Malformed(f"{place}: Invalid `signature` in `thinking` block")
            if kind == "redacted_thinking" and not is_hidden(block.get("data", "")):
                raise Malformed(f"{place}: Invalid `data` in `redacted_thinking` block")
    calls = [
        each for each in given if any(b["type"] == "tool_use" for b in _blocks(each["content"]))
    ]
    if thinks and calls and given[-2:-1] == calls[-1:]:
        first = _blocks(calls[-1]["content"])[0]["type"]
        if first not in ("thinking", "redacted_thinking"):
            raise Malformed(
                f"messages.{len(given) - 2}.content.0.type: Expected `thinking` or"
                f" `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a final"
                " `assistant` message must start with a thinking block."
            )


def _tools(body: dict[str, Any]) -> list[Tool]:
    tools = body.get("tools") or []
    for number, tool in enumerate(tools):
        if not isinstance(tool.get("input_schema"), dict):
            raise Malformed(f"tools.{number}.custom.input_schema: Field required")
    return [Tool(tool["name"], tool["input_schema"]) for tool in tools]


def _done(given: list[dict[str, Any]]) -> Iterable[Done]:
    used: dict[str, Any] = {}
    users = 0
    for message in given:
        users += _is_question(message)
        for block in _blocks(message["content"]):
            if block["type"] == "tool_use":
                used[block["id"]] = block
            if block["type"] == "tool_result":
                use = used[block["tool_use_id"]]
                arguments = orjson.dumps(use["input"]).decode()
                yield Done(use["name"], arguments, _text(block.get("content")), users)


def _role(message: dict[str, Any]) -> str:
    if message["role"] == "user" and not _is_question(message):
        return "tool"
    return _ROLES[message["role"]]


def _is_question(message: dict[str, Any]) -> bool:
    """Return whether a user asks in this message, and does not only give results."""
    blocks = _blocks(message["content"])
    return message["role"] == "user" and not any(b["type"] == "tool_result" for b in blocks)


def _blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list) or not all(
        isinstance(b, dict) and "type" in b for b in content
    ):
        raise Malformed("messages: content must be a string or a list of blocks")
    return content


def _text(content: Any) -> str:
    return "\n".join(b["text"] for b in _blocks(content or "") if b["type"] == "text")


def _attachments(given: list[dict[str, Any]]) -> Iterable[Attachment]:
    for message in given:
        for block in _blocks(message["content"]):
            if block["type"] not in ("image", "document"):
                continue
            source = block["source"]
            kind = source.get("media_type", "application/octet-stream")
            url = source.get("url") or f"data:{kind};base64,{source['data']}"
            yield Attachment(url, kind, block["type"])


def _prefixes(body: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return a hash and a count of words for each block up to the last with `cache_control`."""
    blocks = [*(body.get("tools") or []), *_blocks(body.get("system") or "")]
    for message in body["messages"]:
        blocks += _blocks(message["content"])
    marked = [place for place, block in enumerate(blocks, 1) if block.get("cache_control")]
    prefixes, state, words = [], hashlib.sha256(), 0
    for block in blocks[: max(marked, default=0)]:
        data = orjson.dumps({k: v for k, v in block.items() if k != "cache_control"})
        state.update(data)
        words += len(data.split())
        prefixes.append((state.hexdigest(), words))
    return tuple(prefixes)
