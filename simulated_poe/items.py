"""The items and tools of a Responses request, as the messages and tools of a chat request.

OpenAI's API refuses items of other types, parts of one role in a message of another, and calls
without results.
"""

from __future__ import annotations

from typing import Any

from simulated_poe.failures import Malformed

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def messages_of(given: Any) -> list[dict[str, Any]]:
    """Return the input as chat messages. Raises Malformed."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise Malformed("input must be a string or a list with at least one item")
    messages: list[dict[str, Any]] = []
    for number, item in enumerate(given):
        if not isinstance(item, dict):
            raise Malformed(f"input[{number}] must be an object")
        _add(messages, item, f"input[{number}]")
    return messages


def _add(messages: list[dict[str, Any]], item: dict[str, Any], path: str) -> None:
    match item.get("type", "message"):
        case "message":
            messages.append(_message(item, path))
        case "function_call":
            call_id, name, arguments = (_string(item, n, path) for n in _CALL)
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": ""})
            function = {"name": name, "arguments": arguments}
            calls = messages[-1].setdefault("tool_calls", [])
            calls.append({"id": call_id, "type": "function", "function": function})
        case "function_call_output":
            call_id, output = _string(item, "call_id", path), item.get("output")
            content = _content(output, f"{path}.output", "user")
            messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
        case "reasoning":
            pass
        case kind:
            raise Malformed(f"Invalid value: '{kind}'. ({path}.type)")


_CALL = ("call_id", "name", "arguments")


def _message(item: dict[str, Any], path: str) -> dict[str, Any]:
    role = _ROLES.get(str(item.get("role")))
    if role is None or "name" in item:
        raise Malformed(f"{path}: a message has a role of {', '.join(_ROLES)}, and no name")
    return {"role": role, "content": _content(item.get("content"), f"{path}.content", role)}


def _content(content: Any, path: str, role: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Malformed(f"{path} must be a string or a list of parts")
    return [_part(part, f"{path}[{n}]", role) for n, part in enumerate(content)]


def _part(part: Any, path: str, role: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == ("output_text" if role == "assistant" else "input_text"):
        return {"type": "text", "text": _string(part, "text", path)}
    if kind == "input_image" and role == "user":
        return {"type": "image_url", "image_url": {"url": _string(part, "image_url", path)}}
    if kind == "input_file" and role == "user" and "file_data" in part:
        file = {"filename": part.get("filename"), "file_data": part["file_data"]}
        return {"type": "file", "file": file}
    raise Malformed(f"Invalid value: '{kind}'. ({path}.type)")


def _string(holder: dict[str, Any], name: str, path: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{path}.{name} must be a string")
    return value


def tools_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields about tools as a chat request has them. Raises Malformed."""
    given = body.get("tools") or []
    if not isinstance(given, list) or not all(isinstance(tool, dict) for tool in given):
        raise Malformed("tools must be a list of objects")
    functions = [_function(tool) for tool in given if tool.get("type") == "function"]
    others = {tool.get("type") for tool in given} - {"function", "web_search_preview"}
    if others:
        raise Malformed(f"tools: Invalid value: {', '.join(map(str, others))}")
    fields = {"parallel_tool_calls": body.get("parallel_tool_calls")}
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = {"type": choice.get("type"), "function": {"name": choice.get("name")}}
    return fields | ({"tools": functions, "tool_choice": choice} if functions else {})


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    if "parameters" not in tool or "function" in tool:
        raise Malformed("tools: a function has its name and its parameters beside its type")
    function = {name: tool.get(name) for name in ("name", "description", "parameters")}
    return {"type": "function", "function": function}
