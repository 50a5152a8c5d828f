"""What OpenAI's published API description says of responses, in the notation of `openai_schema`."""

from __future__ import annotations

from tests.support.openai_schema import Seconds, Shape, one_of

_STATUS = one_of("in_progress", "completed", "incomplete")

_TEXT: Shape = {
    "type": one_of("output_text"),
    "text": str,
    "annotations": [{"type": str}],
    "logprobs": [{"token": str}],
}
_REFUSAL: Shape = {"type": one_of("refusal"), "refusal": str}
_PART: Shape = (_TEXT, _REFUSAL)
_SUMMARY: Shape = {"type": one_of("summary_text"), "text": str}

_ITEM: Shape = (
    {
        "id": str,
        "type": one_of("message"),
        "role": one_of("assistant"),
        "content": [_PART],
        "status": _STATUS,
    },
    {"id": str, "type": one_of("reasoning"), "summary": [_SUMMARY], "status?": _STATUS},
    {
        "id?": str,
        "type": one_of("function_call"),
        "call_id": str,
        "name": str,
        "namespace?": str,
        "arguments": str,
        "status?": _STATUS,
    },
    {
        "id?": str,
        "type": one_of("custom_tool_call"),
        "call_id": str,
        "name": str,
        "namespace?": str,
        "input": str,
    },
)

_USAGE: Shape = {
    "input_tokens": int,
    "input_tokens_details": {"cached_tokens": int, "cache_write_tokens": int},
    "output_tokens": int,
    "output_tokens_details": {"reasoning_tokens": int},
    "total_tokens": int,
    "estimated?": one_of(True),
}

_ERROR_CODE = one_of(
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    # Not in the description, but OpenAI sends them, and agents stop at them.
    "context_length_exceeded",
    "insufficient_quota",
)

_TOOL: Shape = (
    {
        "type": one_of("function"),
        "name": str,
        "parameters": (dict, None),
        "strict": (bool, None),
    },
    {"type": one_of("custom"), "name": str},
    {"type": one_of("namespace"), "name": str, "tools": [{"type": str, "name": str}]},
    {"type": one_of("web_search", "web_search_preview")},
)

RESPONSE: Shape = {
    "id": str,
    "object": one_of("response"),
    "created_at": Seconds,
    "status": one_of("completed", "failed", "in_progress", "incomplete", "cancelled", "queued"),
    "background": bool,
    "error": ({"code": _ERROR_CODE, "message": str}, None),
    "incomplete_details": ({"reason": one_of("max_output_tokens", "content_filter")}, None),
    "instructions": (str, [{"role": str}], None),
    "max_output_tokens": (int, None),
    "metadata": dict,
    "model": str,
    "output": [_ITEM],
    "parallel_tool_calls": bool,
    "previous_response_id": (str, None),
    "prompt_cache_key": (str, None),
    "reasoning": {
        "effort": (str, None),
        "summary": (one_of("auto", "concise", "detailed"), None),
    },
    "safety_identifier": (str, None),
    "temperature": (float, int, None),
    "text": {
        "format": (
            {"type": one_of("text", "json_object")},
            {"type": one_of("json_schema"), "name": str, "schema": dict},
        ),
        "verbosity": one_of("low", "medium", "high"),
    },
    "tool_choice": (one_of("auto", "none", "required"), {"type": str}),
    "tools": [_TOOL],
    "top_p": (float, int, None),
    "truncation": one_of("auto", "disabled"),
    "usage?": _USAGE,
}

_ITEM_PLACE: dict[str, Shape] = {"item_id": str, "output_index": int}
_CONTENT_PLACE: dict[str, Shape] = {**_ITEM_PLACE, "content_index": int}
_SUMMARY_PLACE: dict[str, Shape] = {**_ITEM_PLACE, "summary_index": int}

_FIELDS: dict[str, dict[str, Shape]] = {
    "created": {"response": RESPONSE},
    "queued": {"response": RESPONSE},
    "in_progress": {"response": RESPONSE},
    "completed": {"response": RESPONSE},
    "incomplete": {"response": RESPONSE},
    "failed": {"response": RESPONSE},
    "output_item.added": {"output_index": int, "item": _ITEM},
    "output_item.done": {"output_index": int, "item": _ITEM},
    "content_part.added": {**_CONTENT_PLACE, "part": _PART},
    "content_part.done": {**_CONTENT_PLACE, "part": _PART},
    "output_text.delta": {**_CONTENT_PLACE, "delta": str, "logprobs": [{"token": str}]},
    "output_text.done": {**_CONTENT_PLACE, "text": str, "logprobs": [{"token": str}]},
    "refusal.delta": {**_CONTENT_PLACE, "delta": str},
    "refusal.done": {**_CONTENT_PLACE, "refusal": str},
    "reasoning_summary_part.added": {**_SUMMARY_PLACE, "part": _SUMMARY},
    "reasoning_summary_part.done": {**_SUMMARY_PLACE, "part": _SUMMARY},
    "reasoning_summary_text.delta": {**_SUMMARY_PLACE, "delta": str},
    "reasoning_summary_text.done": {**_SUMMARY_PLACE, "text": str},
    "function_call_arguments.delta": {**_ITEM_PLACE, "delta": str},
    "function_call_arguments.done": {**_ITEM_PLACE, "name": str, "arguments": str},
    "custom_tool_call_input.delta": {**_ITEM_PLACE, "delta": str},
    "custom_tool_call_input.done": {**_ITEM_PLACE, "input": str},
}

INPUT_ITEMS: Shape = {
    "object": one_of("list"),
    "data": [
        (
            {
                "id": str,
                "type": one_of("message"),
                "role": one_of("user", "system", "developer", "assistant"),
                "content": [{"type": str}],
                "status": _STATUS,
            },
            {"id": str, "type": one_of("function_call"), "call_id": str, "arguments": str},
            {"id": str, "type": one_of("function_call_output"), "call_id": str},
            {"id": str, "type": one_of("reasoning"), "summary": [_SUMMARY]},
            {"id": str, "type": one_of("custom_tool_call"), "call_id": str, "input": str},
            {"id": str, "type": one_of("custom_tool_call_output"), "call_id": str},
        )
    ],
    "first_id": (str, None),
    "last_id": (str, None),
    "has_more": bool,
}

DELETED: Shape = {"id": str, "object": one_of("response"), "deleted": one_of(True)}

EVENTS: dict[str, Shape] = {
    f"response.{name}": {"type": one_of(f"response.{name}"), "sequence_number": int, **fields}
    for name, fields in _FIELDS.items()
}
"""Each event by its type."""
