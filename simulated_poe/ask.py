"""A request to a bot, in one form for both interfaces."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
import orjson

from simulated_poe.attachments import Attachment, of_message
from simulated_poe.failures import Malformed, Shape
from simulated_poe.tools import Done, Tool, of_query

ROLES = ("system", "user", "bot", "tool")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_EVERY = re.compile(r"every (\d+(?:\.\d+)?) ?(ms|s)\b")


class Ask(msgspec.Struct, frozen=True):
    text: str
    """The last user message."""
    parameters: dict[str, Any]
    """The parameters of the last user message; on /v1, the fields that the model declares."""
    received: dict[str, Any]
    """The body as received, without `api_key` and `access_key`."""
    conversation: str
    """A hash of all roles and contents."""
    variant: str = ""
    """What follows the first hyphen of the bot's name, in lower case."""
    attempt: int = 1
    """How often this bot has received this conversation."""
    shape: Shape = "a"
    messages: tuple[tuple[str, str], ...] = ()
    """The role (as the bot protocol names it) and the content of every message."""
    attachments: tuple[Attachment, ...] = ()
    """The attachments of all messages."""
    tools: tuple[Tool, ...] = ()
    done: tuple[Done, ...] = ()
    """Earlier tool calls, in the order of their results."""
    must_call: bool = False
    parallel: bool = True
    """Whether several tools may be called at once."""
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    thoughts_apart: bool = False
    """Whether thoughts are sent separately from the answer."""
    wants_json: bool = False
    """Whether a field of the request says that the answer must be JSON."""
    schema: dict[str, Any] | None = None
    """What it must then match, if that field has a schema."""

    @property
    def prompt_tokens(self) -> int:
        """The prompt's words, which are counted as tokens."""
        return sum(len(text.split()) for _, text in self.messages)

    def number(self, name: str, default: float, position: int = 0) -> float:
        """Return a parameter, else the number at that position in the text, else the default."""
        if isinstance(given := self.parameters.get(name), int | float):
            return given
        found = _NUMBER.findall(_EVERY.sub("", self.text))
        return float(found[position]) if position < len(found) else default

    def every(self, default: float = 0.0) -> float:
        """Return the seconds between chunks: the parameter `every`, or "every 50ms" in the text."""
        if isinstance(given := self.parameters.get("every"), int | float):
            return given
        found = _EVERY.search(self.text)
        if found is None:
            return default
        return float(found[1]) / (1000 if found[2] == "ms" else 1)


def from_query(body: Any) -> Ask:
    """Read the body of a bot query. Raises Malformed."""
    if not isinstance(body, dict):
        raise Malformed("The body must be a JSON object.")
    query = body.get("query")
    if not isinstance(query, list) or not query:
        raise Malformed("`query` must be a list with at least one message.")
    for message in query:
        _check(message)
    stop = body.get("stop_sequences") or []
    if not isinstance(stop, list) or not all(isinstance(each, str) for each in stop):
        raise Malformed("`stop_sequences` must be a list of strings.")
    wishes = of_query(body)
    received = {name: body[name] for name in body if name not in ("api_key", "access_key")}
    users = [message for message in query if message["role"] == "user"]
    messages = [(message["role"], message["content"]) for message in query]
    return Ask(
        text=users[-1]["content"] if users else "",
        parameters=(users[-1].get("parameters") or {}) if users else {},
        received=received,
        conversation=conversation_of(messages),
        messages=tuple(messages),
        attachments=tuple(found for message in query for found in of_message(message)),
        tools=wishes.tools,
        done=wishes.done,
        stop=tuple(stop),
    )


def conversation_of(messages: list[tuple[str, str]]) -> str:
    """Return a hash that identifies a conversation."""
    return hashlib.sha256(orjson.dumps(messages)).hexdigest()[:16]


def _check(message: Any) -> None:
    if not isinstance(message, dict):
        raise Malformed("A message must be an object.")
    if message.get("role") not in ROLES:
        raise Malformed(f"A message's role must be one of {', '.join(ROLES)}.")
    if not isinstance(message.get("content"), str):
        raise Malformed("A message's content must be a string.")
