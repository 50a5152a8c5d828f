"""What a message is beside its content: at a stream's beginning and end, and as a whole answer."""

from __future__ import annotations

import re
from typing import Any

from contract.messages import Event, Finished
from gateway.dialect import Head
from gateway.render.usage import UsageMeter, cached, total

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")
"""What Anthropic takes in no id of a call. Others write `functions.read:0`."""


class Usage:
    """Counts the tokens of one answer."""

    def __init__(self, head: Head) -> None:
        self._prompt_tokens = head.prompt_tokens
        self._meter = UsageMeter(head.prompt_tokens)

    def observe(self, event: Event) -> None:
        """Count one event."""
        self._meter.observe(event)

    def at_start(self) -> dict[str, Any]:
        """Return the usage object of an answer that begins."""
        return {
            "input_tokens": self._prompt_tokens(),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        }

    def shown(self) -> dict[str, Any]:
        """Return the usage object, with `estimated` where the upstream has not counted.

        Unlike others, Anthropic counts what is read from a cache apart.
        """
        prompt, completion, is_estimated = total([self._meter])
        read = cached([self._meter]) or 0
        counts = {
            "input_tokens": prompt - read,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": read,
            "output_tokens": completion,
        }
        return counts | ({"estimated": True} if is_estimated else {})


def message_of(head: Head, usage: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a message, an empty one unless `more` says otherwise."""
    message: dict[str, Any] = {
        "id": f"msg_{head.job}",
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    return message | more | {"usage": usage}


def ending_of(finished: Finished, *, calls: bool, refused: bool) -> dict[str, str | None]:
    """Return why a message has ended. `calls` tells whether it calls tools."""
    if refused or finished.reason == "content_filter":
        reason = "refusal"
    elif finished.reason == "length":
        reason = "max_tokens"
    elif finished.stop:
        return {"stop_reason": "stop_sequence", "stop_sequence": finished.stop}
    else:
        reason = "tool_use" if calls else "end_turn"
    return {"stop_reason": reason, "stop_sequence": None}


def tool_use(call_id: str, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the block of a tool's call."""
    call_id = _FOREIGN.sub("_", call_id)
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}
