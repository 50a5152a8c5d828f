"""The response object: at a stream's beginning and end, and as a whole answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from contract.messages import Event, FinishReason, Reasoning
from contract.token_estimate import TokenCounter
from gateway.dialect import Head
from gateway.problems import Kind, Problem
from gateway.render import openai_errors
from gateway.render.usage import UsageMeter, cached, reasoned, total
from gateway.responses.errors import worded
from gateway.responses.events import compact
from gateway.responses.ids import id_of
from gateway.responses.request import ResponsesAsk

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

_INCOMPLETE: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
_CODES = {
    Kind.CONTEXT_TOO_LONG: "context_length_exceeded",
    Kind.NO_POINTS: "insufficient_quota",
}
"""Beyond OpenAI's published list, though OpenAI sends them: agents stop at these two."""


class Usage:
    """Counts the tokens of one answer."""

    def __init__(self, head: Head) -> None:
        self._meter = UsageMeter(head.prompt_tokens)
        self._thoughts = TokenCounter()

    def observe(self, event: Event) -> None:
        """Count one event."""
        self._meter.observe(event)
        if isinstance(event, Reasoning):
            self._thoughts.add(event.text)

    def shown(self) -> dict[str, Any]:
        """Return OpenAI's usage object, with `estimated` where the upstream has not counted.

        Most upstreams count thoughts in, but not by themselves: that count is then an estimate.
        """
        prompt, completion, is_estimated = total([self._meter])
        thoughts = reasoned([self._meter])
        if thoughts is None:
            thoughts = self._thoughts.tokens
        fields: dict[str, Any] = {
            "input_tokens": prompt,
            "input_tokens_details": {
                "cached_tokens": cached([self._meter]) or 0,
                "cache_write_tokens": 0,
            },
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": min(thoughts, completion)},
            "total_tokens": prompt + completion,
        }
        return fields | ({"estimated": True} if is_estimated else {})


def response_of(
    head: Head,
    ask: ResponsesAsk,
    status: Status,
    output: Sequence[dict[str, Any]] = (),
    *,
    usage: Usage | None = None,
    reason: FinishReason = "stop",
    problem: Problem | None = None,
) -> str:
    """Return the response as JSON. `reason` is why it has ended, if it has not failed."""
    incomplete = {"reason": _INCOMPLETE[reason]} if status == "incomplete" else None
    fields = {
        "id": id_of(head.job),
        "object": "response",
        "created_at": head.created,
        "status": status,
        "background": ask.in_background,
        "error": _error(problem) if problem and status == "failed" else None,
        "incomplete_details": incomplete,
        "model": head.model,
        "output": list(output),
    }
    if usage is not None:
        fields["usage"] = usage.shown()
    return f"{compact(fields)[:-1]},{ask.echo}}}"


def ending_of(reason: FinishReason, problem: Problem | None = None) -> Status:
    """Return the status of a response that has finished for this reason, or failed by a problem."""
    if problem is not None:
        return "cancelled" if problem.kind is Kind.CANCELLED else "failed"
    return "incomplete" if reason in _INCOMPLETE else "completed"


def _error(problem: Problem) -> dict[str, str]:
    status = openai_errors.reply(problem).status
    message = openai_errors.message(worded(problem))
    return {"code": _code(problem.kind, status), "message": message}


def _code(kind: Kind, status: int) -> str:
    if kind in _CODES:
        return _CODES[kind]
    if status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if 400 <= status < 499 else "server_error"
