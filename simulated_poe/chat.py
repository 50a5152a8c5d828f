"""Poe's OpenAI interface: what /v1/chat/completions accepts, and how it renders an answer.

Sources: creator.poe.com's createChatCompletion and the page on the OpenAI-compatible API; the
strict validation is what a user found by experiment in spring 2026. Streams never take text back:
Poe resolves replacements, and so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import orjson

from simulated_poe import chunks, failures, tools
from simulated_poe.ask import Ask, conversation_of
from simulated_poe.attachments import Attachment, of_parts
from simulated_poe.catalogue import Model
from simulated_poe.chunks import Head
from simulated_poe.failures import Failure, Malformed
from simulated_poe.schemas import mismatch
from simulated_poe.settings import Settings
from simulated_poe.steps import (
    Call,
    Cut,
    End,
    Event,
    Played,
    Raw,
    Sleep,
    Status,
    Step,
    Text,
    Thought,
)

_SUPPORTED = frozenset(
    {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n"}
    | {"stream", "stream_options", "stop", "tools", "tool_choice", "parallel_tool_calls"}
    | {"logprobs", "top_logprobs"}
)
_IGNORED = frozenset(
    {"store", "metadata", "response_format", "prediction", "presence_penalty", "audio", "seed"}
    | {"frequency_penalty", "service_tier", "logit_bias", "user", "modalities"}
    | {"reasoning_effort"}
)
_ROLES = {"system": "system", "user": "user", "assistant": "bot", "tool": "tool"}
_REFERENCE = re.compile(r"\]\[([^\]]+)\]")


class Form(msgspec.Struct, frozen=True):
    """The form that the answer should have."""

    head: Head
    stream: bool
    usage: bool
    settings: Settings = Settings()


def from_request(body: Any, model: Model, settings: Settings) -> Ask:
    """Read the body of a chat request for a model. Raises Malformed."""
    if not isinstance(body, dict):
        raise Malformed("The body must be a JSON object.")
    declared = {parameter["name"]: parameter["schema"] for parameter in model.parameters}
    if settings.validation != "legacy":
        _check_fields(body, declared, settings)
    _check_values(body, model)
    given = _list(body, "messages")
    messages = [message_of(message) for message in given]
    wishes = tools.of_chat(body, given, settings.tool_rounds)
    texts = [content for role, content in messages if role == "user"]
    stop = body.get("stop") or []
    return Ask(
        text=texts[-1] if texts else "",
        parameters={name: body[name] for name in body if name in declared},
        received=body,
        conversation=conversation_of(messages),
        messages=tuple(messages),
        attachments=tuple(found for message in given for found in _attachments(message)),
        tools=wishes.tools,
        done=wishes.done,
        must_call=wishes.must_call,
        parallel=wishes.parallel,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        max_tokens=_most_tokens(body),
        thoughts_apart=settings.thoughts == "reasoning_content",
    )


def model_of(body: Any) -> str:
    """Return the model that a chat request names. Raises Malformed."""
    model = body.get("model") if isinstance(body, dict) else None
    if not isinstance(model, str):
        raise Malformed("model must be a string")
    return model


def form_of(body: dict[str, Any], head: Head, settings: Settings) -> Form:
    """Return the form that a request, already validated, wants for its answer."""
    options = body.get("stream_options") or {}
    stream, usage = bool(body.get("stream")), bool(options.get("include_usage"))
    return Form(head, stream, usage, settings)


def _check_fields(body: dict[str, Any], declared: dict[str, Any], settings: Settings) -> None:
    ignored = _IGNORED if settings.validation == "strict" else frozenset()
    for name, value in body.items():
        if name not in _SUPPORTED | ignored | declared.keys():
            raise Malformed(f"{name}: Extra inputs are not permitted")
        if name in declared and (against := mismatch(value, declared[name])):
            raise Malformed(f"{name}: {against}")


def _check_values(body: dict[str, Any], model: Model) -> None:
    for name in model.refuses:
        if body.get(name) is not None:
            raise Malformed(f"Unsupported parameter: '{name}' is not supported with this model.")
    if body.get("n") not in (None, 1):
        raise Malformed("n must be 1")
    for name, most in (("temperature", 2), ("top_p", 1)):
        value = body.get(name)
        if value is not None and (not isinstance(value, int | float) or not 0 <= value <= most):
            raise Malformed(f"{name} must be a number from 0 to {most}")
    tokens = _most_tokens(body)
    if tokens is not None and tokens < model.least_max_tokens:
        # The message of OpenAI's Responses API, whose field has that name.
        raise Malformed(
            "Invalid 'max_output_tokens': integer below minimum value. "
            f"Expected a value >= {model.least_max_tokens}, but got {tokens} instead."
        )
    stop = body.get("stop")
    sequences = [stop] if isinstance(stop, str) else stop or []
    if len(sequences) > 4 or not all(isinstance(s, str) and s.strip() for s in sequences):
        raise Malformed("stop must be up to 4 sequences that are not just whitespace")


def _most_tokens(body: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is not None:
            if not isinstance(value, int) or value < 1:
                raise Malformed(f"{name} must be a whole number above 0")
            return value
    return None


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list) or not value:
        raise Malformed(f"{name} must be a list with at least one item")
    return value


def message_of(message: Any) -> tuple[str, str]:
    """Return the role and the text of a chat message. Raises Malformed."""
    role = _ROLES.get(str(message.get("role"))) if isinstance(message, dict) else None
    if role is None:
        raise Malformed(f"A message's role must be one of {', '.join(_ROLES)}")
    return role, _content(message)


def _attachments(message: dict[str, Any]) -> list[Attachment]:
    content = message.get("content")
    return of_parts(content) if isinstance(content, list) else []


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str) or content is None:
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise Malformed("A message's content must be a string or a list of parts")
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))


def render(steps: Iterable[Step], form: Form) -> Iterator[Played]:
    """Render a bot's answer as a chat completion, whole or as a stream of chunks."""
    return _stream(steps, form) if form.stream else _whole(steps, form)


class AnswerText:
    """The text of an answer so far, and how much of it has been sent."""

    def __init__(self) -> None:
        self.text = ""
        self._sent = ""
        self._links: dict[str, str] = {}
        self._unreferenced: list[str] = []

    def take(self, step: Step) -> str:
        """Add a step, and return the text that a stream can now send."""
        match step:
            case Text(text, replaces=True):
                # It may be a placeholder: send nothing before more text comes.
                self.text = self._resolve(text)
            case Text(text):
                self.text += self._resolve(text)
                return self._unsent()
            case Event("file", data):
                link = f"![{data['name']}]({data['url']})"
                self._links[data.get("inline_ref") or ""] = data["url"]
                self._unreferenced += [] if data.get("inline_ref") else [link]
        return ""

    def finish(self) -> str:
        self.text += "\n\n".join(self._unreferenced)
        return self._unsent()

    def _unsent(self) -> str:
        sent, self._sent = self._sent, self.text
        return self.text[len(sent) :] if self.text.startswith(sent) else f"\n\n{self.text}"

    def _resolve(self, text: str) -> str:
        if not self._links:
            return text
        urls = self._links
        return _REFERENCE.sub(lambda r: f"]({urls[r[1]]})" if r[1] in urls else r[0], text)


def _whole(steps: Iterable[Step], form: Form) -> Iterator[Played]:
    answer, thoughts = AnswerText(), ""
    calls: list[dict[str, Any]] = []
    reason = "stop"
    for step in steps:
        match step:
            case Sleep() | Cut() | Status():
                yield step
                if not isinstance(step, Sleep):
                    return
            case Event("error", data):
                yield _refusal(data, form)
                return
            case Thought(text):
                thoughts += text
            case Call(index, identifier, name, arguments):
                function = {"name": name, "arguments": arguments}
                # OpenAI has no index here, but Poe's whole answers have one.
                own = {"index": index, "id": identifier, "type": "function"}
                calls.append({**own, "function": function})
            case End(asked):
                reason = asked
            case _:
                answer.take(step)
    answer.finish()
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if thoughts:
        message["reasoning_content"] = thoughts
    if calls:
        message |= {"content": answer.text or None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    sent = [answer.text, thoughts, *(call["function"]["arguments"] for call in calls)]
    usage = chunks.usage(form.head, _words(sent))
    yield Status(200, chunks.an_object(form.head, "chat.completion", [choice]) | usage)


def _stream(steps: Iterable[Step], form: Form) -> Iterator[Played]:
    answer = AnswerText()
    sent: list[str] = []
    begun, reason = False, "stop"
    for step in steps:
        deltas: Iterable[dict[str, Any]] = ()
        match step:
            case Sleep() | Cut() | Status() | Raw():
                yield step
                if not isinstance(step, Sleep | Raw):
                    return
            case Event("error", data) if not begun:
                yield _refusal(data, form)
                return
            case Event("error", data):
                yield _late(failures.of_event(data), str(data.get("text")), form)
                return
            case Thought(text):
                sent.append(text)
                deltas = [{"reasoning_content": text}]
            case Call(index, identifier, name, arguments):
                sent.append(arguments)
                deltas = chunks.call_deltas(index, identifier, name, arguments, nulls=False)
            case End(asked):
                reason = asked
            case _ if new := answer.take(step):
                deltas = [{"content": new}]
        for delta in deltas:
            yield from _delta(form, delta, begun)
            begun = True
    if new := answer.finish():
        yield from _delta(form, {"content": new}, begun)
    yield _chunk(form, {}, reason)
    if form.usage:
        yield _data(chunks.usage_chunk(form.head, _words([answer.text, *sent])))
    yield Raw(b"data: [DONE]\n\n", last=True)


def _refusal(data: dict[str, Any], form: Form) -> Status:
    failure = failures.of_event(data)
    return failures.as_status(failure, form.settings.error_shape, data.get("text"))


def _late(failure: Failure, message: str, form: Form) -> Played:
    if form.settings.late_errors == "cut":
        return Cut()
    return _data(failures.body(failure, form.settings.error_shape, message), failed=True)


def _delta(form: Form, delta: dict[str, Any], begun: bool) -> Iterator[Raw]:
    if form.settings.comments:
        yield Raw(b": ping\n\n")
    yield _chunk(form, delta if begun else {"role": "assistant", "content": None, **delta})


def _chunk(form: Form, delta: dict[str, Any], finish_reason: str | None = None) -> Raw:
    chunk = chunks.chunk(form.head, delta, finish_reason)
    if not form.settings.choice_index:
        del chunk["choices"][0]["index"]
    return _data(chunk, characters=len(delta.get("content") or ""))


def _data(value: Any, characters: int = 0, failed: bool = False) -> Raw:
    return Raw(b"data: %b\n\n" % orjson.dumps(value), characters, failed, failed)


def _words(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)
