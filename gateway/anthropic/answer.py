"""Messages in one piece: an answer's events become one message."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from contract.messages import Event, Verbatim
from gateway.anthropic.events import compact
from gateway.anthropic.message import Usage, ending_of, message_of, tool_use
from gateway.anthropic.request import MessagesAsk
from gateway.anthropic.thinking import UNSIGNED
from gateway.dialect import Head
from gateway.render.collected import CollectedChoice, WholeCall
from gateway.render.ordered import THINK, THOUGHT


class MessageCollector:
    """Collects one answer and renders it as one message."""

    def __init__(self, head: Head, ask: MessagesAsk) -> None:
        self._head = head
        self._shows_thoughts = ask.shows_thoughts
        self._usage = Usage(head)
        self._answer = CollectedChoice(head.job)
        self._verbatim: list[Verbatim] = []

    def feed(self, choice: int, events: Sequence[Event]) -> None:  # noqa: ARG002
        """Take the events of one record. There is one choice."""
        for event in events:
            self._usage.observe(event)
            if isinstance(event, Verbatim):
                self._verbatim.append(event)
        self._answer.feed(events)

    def body(self) -> bytes:
        """Render the message of an answer that has finished."""
        told = self._as_it_came() if self._verbatim else self._translated()
        return compact(told).encode("ascii")

    def _translated(self) -> dict[str, Any]:
        answer = self._answer
        refused, calls = bool(answer.refusal), bool(answer.calls)
        ending = ending_of(answer.finished, calls=calls, refused=refused)
        return message_of(self._head, self._usage.shown(), content=self._content(), **ending)

    def _as_it_came(self) -> dict[str, Any]:
        return rebuilt(self._verbatim) | {"model": self._head.model}

    def _content(self) -> list[dict[str, Any]]:
        answer, mode = self._answer, self._head.reasoning
        thoughts, text = answer.thoughts, answer.content() + answer.refusal
        blocks: list[dict[str, Any]] = []
        if thoughts and mode == "inline":
            text = f"{THINK}{thoughts}{THOUGHT}{text}"
        elif thoughts and mode == "separate" and self._shows_thoughts:
            blocks.append({"type": "thinking", "thinking": thoughts, "signature": UNSIGNED})
        if text:
            blocks.append({"type": "text", "text": text})
        return [*blocks, *map(_called, answer.calls)]


def rebuilt(events: Iterable[Verbatim]) -> dict[str, Any]:
    """Return the message that the events of a stream make up, fields of next year included."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for event in events:
        told = json.loads(event.data)
        match event.name:
            case "message_start":
                message = told["message"]
            case "content_block_start":
                blocks[told["index"]] = told["content_block"]
            case "content_block_delta":
                _extend(blocks[told["index"]], told["delta"], inputs, told["index"])
            case "message_delta":
                usage = (message.get("usage") or {}) | _counts(told)
                beside = {key: value for key, value in told.items() if key not in ("type", "delta")}
                message |= beside | told["delta"] | {"usage": usage}
    for index, given in inputs.items():
        blocks[index]["input"] = _object(given)
    return message | {"content": list(blocks.values())}


def _counts(told: dict[str, Any]) -> dict[str, Any]:
    """Return the usage that an event adds; null adds nothing."""
    usage = told.get("usage")
    counts = usage.items() if isinstance(usage, dict) else ()
    return {name: count for name, count in counts if count is not None}


def _extend(
    block: dict[str, Any], delta: dict[str, Any], inputs: dict[int, str], index: int
) -> None:
    """Add what a delta brings: text goes behind that of the same name, anything else beside it."""
    for name, value in delta.items():
        if name == "type":
            continue
        if name == "partial_json":
            inputs[index] = inputs.get(index, "") + value
        elif name == "citation":
            block["citations"] = [*(block.get("citations") or ()), value]
        elif isinstance(value, str) and isinstance(block.get(name), str):
            block[name] += value
        else:
            block[name] = value


def _called(call: WholeCall) -> dict[str, Any]:
    return tool_use(call.id, call.name, _object(call.arguments))


def _object(given: str) -> dict[str, Any]:
    """Return a call's arguments; nothing of those that were cut, which nobody must act on."""
    try:
        found = json.loads(given or "{}", strict=False)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
