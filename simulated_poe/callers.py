"""The bots that call tools: Tool makes all its calls at once, Agent one per round.

Like a model, they learn from the conversation alone which calls were made. The bot protocol lists
all earlier calls in one flat list, so they compare the end of that list with the calls they were
asked to make.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import orjson

from simulated_poe.ask import Ask
from simulated_poe.schemas import instance
from simulated_poe.steps import DONE, META, Call, End, Step, pieces
from simulated_poe.tools import Done, Tool, same_arguments

VARIANTS = "talk|broken|stop"
_LINE = re.compile(r"\bcall ([\w.:/-]+)[ \t]*(?=\{|$|[\n,;.])", re.IGNORECASE | re.MULTILINE)

_Wanted = tuple[str, str]
"""A function's name, and its arguments as JSON."""


def tool(ask: Ask) -> Iterator[Step]:
    """Make the calls in the last user message, all at once; then quote the results."""
    yield META
    wanted = _scripted(ask.text) or _by_default(ask)
    if ask.must_call:
        offered = {tool.name for tool in ask.tools}
        wanted = [call for call in wanted if call[0] in offered] or _by_default(ask)
    users = sum(role == "user" for role, _ in ask.messages)
    done = [each for each in ask.done if each.after in (None, users)]
    if not ask.parallel:
        yield from _one_by_one(ask, wanted, done)
    elif not wanted or not ask.tools:
        yield from pieces(_quoted(ask.done) or f"No tool was called: {ask.text}")
    elif performed(done, wanted) == len(wanted):
        yield from pieces(_quoted(done[-len(wanted) :]))
    else:
        yield from _calls(ask, wanted)
    yield DONE


def agent(ask: Ask) -> Iterator[Step]:
    """Perform the steps in a user message, one per round; then report."""
    yield META
    scripts = [
        (number, script)
        for number, text in enumerate((t for role, t in ask.messages if role == "user"), 1)
        if (script := _scripted(text))
    ]
    if scripts and ask.tools:
        number, script = scripts[-1]
        steps = [_fitted(ask.tools, *step) for step in script]
        done = [each for each in ask.done if each.after is None or each.after >= number]
        yield from _one_by_one(ask, steps, done)
    else:
        yield from pieces("There is nothing to do for me.")
    yield DONE


def performed(done: list[Done], wanted: list[_Wanted]) -> int:
    """Return the largest n for which the last n calls made are the first n calls wanted."""
    return next(
        count
        for count in range(min(len(done), len(wanted)), -1, -1)
        if all(
            past.name == name and same_arguments(past.arguments, arguments)
            for past, (name, arguments) in zip(
                done[len(done) - count :], wanted[:count], strict=True
            )
        )
    )


def _one_by_one(ask: Ask, wanted: list[_Wanted], done: list[Done]) -> Iterator[Step]:
    count = performed(done, wanted)
    if count < len(wanted):
        yield from _calls(ask, wanted[count : count + 1])
        return
    last = f" The last one gave: {done[-1].result}" if count else ""
    yield from pieces(f"All steps are done: {count}.{last}")


def _calls(ask: Ask, wanted: list[_Wanted]) -> Iterator[Step]:
    if ask.variant == "talk":
        yield from pieces("I shall call a tool. ")
    for index, (name, arguments) in enumerate(wanted):
        place = f"{ask.conversation}/{len(ask.done)}/{index}"
        identifier = f"call_{hashlib.sha256(place.encode()).hexdigest()[:24]}"
        sent = arguments[:-1] if ask.variant == "broken" else arguments
        yield Call(index, identifier, name, sent)
    yield End("stop" if ask.variant == "stop" else "tool_calls")


def _quoted(done: list[Done] | tuple[Done, ...]) -> str:
    return "\n".join(f"{each.name} says: {each.result}" for each in done)


def _scripted(text: str) -> list[_Wanted]:
    """Find every `call NAME {"json": "object"}`; without an object there are no arguments."""
    found = []
    for match in _LINE.finditer(text):
        arguments = _first_object(text[match.end() :])
        if arguments is not None:
            found.append((match[1], arguments))
    return found


def _first_object(text: str) -> str | None:
    if not text.startswith("{"):
        return "{}"
    for end in (place.end() for place in re.finditer("}", text)):
        try:
            value = orjson.loads(text[:end])
        except orjson.JSONDecodeError:
            continue
        return orjson.dumps(value).decode()
    return None


def _by_default(ask: Ask) -> list[_Wanted]:
    return [(t.name, orjson.dumps(instance(t.parameters)).decode()) for t in ask.tools[:1]]


def _fitted(tools: tuple[Tool, ...], name: str, arguments: str) -> _Wanted:
    """Fit a step to the tools at hand: `read {"path": …}` becomes a call of `read_file`."""
    exact = [tool for tool in tools if tool.name == name]
    alike = exact or [tool for tool in tools if name.lower() in tool.name.lower()]
    if not alike:
        return name, arguments
    schema = alike[0].parameters
    names = list(schema.get("properties") or {})
    given: dict[str, Any] = orjson.loads(arguments)
    fitted = {_alike(key, names): value for key, value in given.items()}
    required = instance(schema) if schema.get("required") else {}
    return alike[0].name, orjson.dumps({**required, **fitted}).decode()


def _alike(key: str, names: list[str]) -> str:
    if key in names:
        return key
    return next((name for name in names if key.lower() in name.lower()), key)
