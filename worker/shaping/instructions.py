"""Tells a model in words what form its answer must have, where the upstream has no field for it.

The words go into the system text, below the client's own: a model heeds them there, and they do
not change from one turn to the next, so the upstream's caches keep working.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import msgspec

from contract.messages import Format, Job, Message, Options, Part, TextPart, Tool
from worker.shaping import grammar
from worker.shaping.mismatch import Mismatch
from worker.shaping.reasoning import without_thoughts

_TOOLS = """\
# Tools

You can call tools. To call one, write exactly this at the end of your answer:

<tool_call name="NAME OF THE TOOL">
<arg name="NAME OF AN ARGUMENT">VALUE</arg>
</tool_call>

- One <arg> for each argument. Leave out optional arguments that you do not need.
- Write a string as it is, without quotes around it and without escapes, over several lines if
  it has them. Write every other value as JSON.
- Only a string that itself contains "</arg>" is written as JSON: <arg name="…" type="json">.
- {count}
- Write nothing after the last </tool_call>: the results come with the next message, in
  <tool_result> blocks. Never write such a block yourself.
- {choice}

These are the tools, each with the JSON schema of its arguments:

{tools}"""

_MANY = "To call several tools at once, write several <tool_call> blocks, one below the other."
_ONE = "Call only one tool at a time."
_AUTO = "If no tool helps, answer without calling one."
_REQUIRED = "This time you must call a tool."

_FORMAT = """\
# Form of the answer

{when} with one JSON object and nothing else: no word before or after it, no code fence."""
_SCHEMA = "It must match this JSON schema:"


def instructed(job: Job, *, emulate_tools: bool, has_format_field: bool = False) -> Job:
    """Return the job as it is to be sent.

    Thoughts are stripped off past answers. Where the answer must be JSON the system text says so,
    unless the upstream has a field for that (`has_format_field`); without a schema it says so even
    then, since OpenAI's JSON mode wants the word. With `emulate_tools` it describes the tools: then
    the sent job has none, and past calls and results are text. `Shaping` needs the options of the
    job as it was before.
    """
    messages: Iterable[Message] = filter(None, map(_without_thoughts, job.messages))
    options = job.options
    if emulate_tools:
        messages = _emulated(messages, {tool.name: tool for tool in options.tools})
        options = msgspec.structs.replace(
            options, tools=(), tool_choice="", tool_name="", parallel_tool_calls=None
        )
    tools = job.options.callable_tools if emulate_tools else ()
    words = [_describe_tools(tools, job.options)] if tools else []
    wanted = job.options.format
    if wanted is not None and not (has_format_field and wanted.schema is not None):
        words.append(_describe_format(wanted, bool(tools or options.tools)))
    return msgspec.structs.replace(
        job, messages=_told(tuple(messages), "\n\n".join(words)), options=options
    )


def correction(job: Job, mismatch: Mismatch) -> Job:
    """Return the job with the answer that did not match, and the request to mend it."""
    request = (
        f"This answer cannot be used. {mismatch.reason}\n\n"
        "Give the whole answer again, corrected, in exactly the form that was asked for. "
        "Do not apologise and do not explain."
    )
    answer = (Message("assistant", mismatch.answer),) if mismatch.answer.strip() else ()
    return msgspec.structs.replace(job, messages=(*job.messages, *answer, Message("user", request)))


def _told(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """Add words to the first system message, or as one."""
    if not words:
        return messages
    for index, message in enumerate(messages):
        if message.role == "system":
            told = msgspec.structs.replace(message, content=_extended(message.content, words))
            return (*messages[:index], told, *messages[index + 1 :])
    return (Message("system", words), *messages)


def _extended(content: str | tuple[Part, ...], words: str) -> str | tuple[Part, ...]:
    if isinstance(content, str):
        return f"{content}\n\n{words}" if content else words
    return (*content, TextPart(words))


def _describe_tools(tools: tuple[Tool, ...], options: Options) -> str:
    choice = _REQUIRED if options.tool_choice == "required" else _AUTO
    count = _ONE if options.parallel_tool_calls is False else _MANY
    described = "\n\n".join(map(_describe_tool, tools))
    return _TOOLS.format(count=count, choice=choice, tools=described)


def _describe_tool(tool: Tool) -> str:
    schema = msgspec.json.encode(tool.parameters or {"type": "object", "properties": {}}).decode()
    lines = [f"## {tool.name}", *filter(None, [tool.description.strip()]), schema]
    return "\n".join(lines)


def _describe_format(wanted: Format, has_tools: bool) -> str:
    words = _FORMAT.format(when="Where you call no tool, answer" if has_tools else "Answer")
    if wanted.schema is None:
        return words
    return f"{words}\n{_SCHEMA}\n{msgspec.json.encode(wanted.schema).decode()}"


def _without_thoughts(message: Message) -> Message | None:
    """Strip thoughts; None if the message is nothing but thoughts."""
    if message.role != "assistant" or not message.content:
        return message
    content = message.content
    if isinstance(content, str):
        stripped: str | tuple[Part, ...] = without_thoughts(content)
    elif isinstance(first := content[0], TextPart):
        rest = without_thoughts(first.text)
        stripped = (*((TextPart(rest),) if rest else ()), *content[1:])
    else:
        stripped = content
    if not stripped and not message.tool_calls:
        return None
    return msgspec.structs.replace(message, content=stripped)


def _emulated(messages: Iterable[Message], tools: Mapping[str, Tool]) -> Iterable[Message]:
    """Write past calls and results as text; the results of one turn in one message."""
    names: dict[str, str] = {}
    for is_result, group in groupby(messages, lambda message: message.role == "tool"):
        if is_result:
            yield _results(group, names)
            continue
        for message in group:
            names |= {call.id: call.name for call in message.tool_calls}
            yield _with_calls(message, tools)


def _with_calls(message: Message, tools: Mapping[str, Tool]) -> Message:
    if not message.tool_calls:
        return message
    words = "\n\n".join(grammar.write(call, tools) for call in message.tool_calls)
    content = _extended(message.content, words)
    return msgspec.structs.replace(message, content=content, tool_calls=())


def _results(messages: Iterable[Message], names: Mapping[str, str]) -> Message:
    parts: list[Part] = []
    for message in messages:
        name = names.get(message.tool_call_id, message.name)
        parts.append(TextPart(grammar.write_result(name, message.text)))
        parts += message.media
    words = [part.text for part in parts if isinstance(part, TextPart)]
    return Message("user", "\n\n".join(words) if len(words) == len(parts) else tuple(parts))
