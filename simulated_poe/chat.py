"""The OpenAI kind: what /v1/chat/completions takes, and how it tells an answer.

Sources: creator.poe.com's createChatCompletion and the page on the OpenAI-compatible API; the
strict validation is as a user found it by trials in spring 2026. Streams take no text back: Poe
resolves what bots replace, and so does this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import orjson

from simulated_poe import failures
from simulated_poe.ask import Ask, Malformed, conversation_of
from simulated_poe.failures import Failure, Shape
from simulated_poe.steps import Cut, Event, Played, Raw, Sleep, Status, Step, Text

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

Validation = Literal["legacy", "strict", "strictest"]


class Form(msgspec.Struct, frozen=True):
    """How an answer is to be told."""

    id: str
    model: str
    created: int
    """Unix time in seconds."""
    stream: bool
    usage: bool
    prompt_tokens: int
    shape: Shape
    late_errors: Literal["event", "cut"]


def from_request(body: Any, declared: frozenset[str], validation: Validation) -> Ask:
    """Read the body of a chat request, for a model that declares these fields. Raises Malformed."""
    if not isinstance(body, dict):
        raise Malformed("The body must be a JSON object.")
    _check_fields(body, declared, validation)
    _check_values(body)
    messages = [_message(message) for message in _list(body, "messages")]
    texts = [content for role, content in messages if role == "user"]
    own = {name: body[name] for name in body if name in declared}
    return Ask(texts[-1] if texts else "", own, body, conversation_of(messages))


def model_of(body: Any) -> str:
    """The model that a chat request names. Raises Malformed."""
    model = body.get("model") if isinstance(body, dict) else None
    if not isinstance(model, str):
        raise Malformed("model must be a string")
    return model


def form_of(
    body: dict[str, Any],
    *,
    identifier: str,
    created: int,
    shape: Shape,
    late_errors: Literal["event", "cut"],
) -> Form:
    """Tell how a request that `from_request` has read wants its answer."""
    options = body.get("stream_options") or {}
    return Form(
        id=identifier,
        model=body["model"],
        created=created,
        stream=bool(body.get("stream")),
        usage=bool(options.get("include_usage")),
        # Words stand for tokens.
        prompt_tokens=sum(len(_content(message).split()) for message in body["messages"]),
        shape=shape,
        late_errors=late_errors,
    )


def _check_fields(body: dict[str, Any], declared: frozenset[str], validation: Validation) -> None:
    if validation == "legacy":
        return
    known = _SUPPORTED | declared | (_IGNORED if validation == "strict" else frozenset())
    for name in body:
        if name not in known:
            raise Malformed(f"{name}: Extra inputs are not permitted")


def _check_values(body: dict[str, Any]) -> None:
    if body.get("n") not in (None, 1):
        raise Malformed("n must be 1")
    for name, most in (("temperature", 2), ("top_p", 1)):
        value = body.get(name)
        if value is not None and (not isinstance(value, int | float) or not 0 <= value <= most):
            raise Malformed(f"{name} must be a number from 0 to {most}")
    stop = body.get("stop")
    sequences = [stop] if isinstance(stop, str) else stop or []
    if len(sequences) > 4 or not all(isinstance(s, str) and s.strip() for s in sequences):
        raise Malformed("stop must be up to 4 sequences that are not white space")


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list) or not value:
        raise Malformed(f"{name} must be a list with at least one item")
    return value


def _message(message: Any) -> tuple[str, str]:
    role = _ROLES.get(str(message.get("role"))) if isinstance(message, dict) else None
    if role is None:
        raise Malformed(f"A message's role must be one of {', '.join(_ROLES)}")
    return role, _content(message)


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str) or content is None:
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise Malformed("A message's content must be a string or a list of parts")
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))


def tell(steps: Iterable[Step], form: Form) -> Iterator[Played]:
    """Tell a bot's answer as one chat completion, whole or as a stream of chunks."""
    return _stream(steps, form) if form.stream else _whole(steps, form)


class _Answer:
    """The text of an answer so far, and how much of it has been told."""

    def __init__(self) -> None:
        self.text = ""
        self._told = ""
        self._links: dict[str, str] = {}
        self._loose: list[str] = []

    def take(self, step: Step) -> str:
        """Take a step, and return what a stream can tell of the answer by now."""
        match step:
            case Text(text, replaces=True):
                # It may be a placeholder: tell nothing before more comes.
                self.text = self._resolve(text)
            case Text(text):
                self.text += self._resolve(text)
                return self._news()
            case Event("file", data):
                link = f"![{data['name']}]({data['url']})"
                self._links[data.get("inline_ref") or ""] = data["url"]
                self._loose += [] if data.get("inline_ref") else [link]
        return ""

    def finish(self) -> str:
        self.text += "\n\n".join(self._loose)
        return self._news()

    def _news(self) -> str:
        told, self._told = self._told, self.text
        return self.text[len(told) :] if self.text.startswith(told) else f"\n\n{self.text}"

    def _resolve(self, text: str) -> str:
        if not self._links:
            return text
        urls = self._links
        return _REFERENCE.sub(lambda r: f"]({urls[r[1]]})" if r[1] in urls else r[0], text)


def _whole(steps: Iterable[Step], form: Form) -> Iterator[Played]:
    answer = _Answer()
    for step in steps:
        match step:
            case Sleep() | Cut() | Status():
                yield step
                if not isinstance(step, Sleep):
                    return
            case Event("error", data):
                yield failures.as_status(failures.of_event(data), form.shape, data.get("text"))
                return
            case _:
                answer.take(step)
    answer.finish()
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    yield Status(200, _object(form, "chat.completion", [choice]) | _usage(form, answer.text))


def _stream(steps: Iterable[Step], form: Form) -> Iterator[Played]:
    answer = _Answer()
    begun = False
    for step in steps:
        match step:
            case Sleep() | Cut() | Status() | Raw():
                yield step
                if not isinstance(step, Sleep | Raw):
                    return
            case Event("error", data) if not begun:
                yield failures.as_status(failures.of_event(data), form.shape, data.get("text"))
                return
            case Event("error", data):
                yield _late(failures.of_event(data), str(data.get("text")), form)
                return
            case _ if news := answer.take(step):
                yield _delta(form, news, begun)
                begun = True
    if news := answer.finish():
        yield _delta(form, news, begun)
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield _data(_object(form, "chat.completion.chunk", [stop]))
    if form.usage:
        yield _data(_object(form, "chat.completion.chunk", []) | _usage(form, answer.text))
    yield Raw(b"data: [DONE]\n\n", last=True)


def _late(failure: Failure, message: str, form: Form) -> Played:
    if form.late_errors == "cut":
        return Cut()
    return _data(failures.body(failure, form.shape, message), failed=True)


def _delta(form: Form, news: str, begun: bool) -> Raw:
    delta = {"content": news} if begun else {"role": "assistant", "content": news}
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return _data(_object(form, "chat.completion.chunk", [choice]), characters=len(news))


def _data(value: Any, characters: int = 0, failed: bool = False) -> Raw:
    return Raw(b"data: %b\n\n" % orjson.dumps(value), characters, failed, failed)


def _object(form: Form, name: str, choices: list[Any]) -> dict[str, Any]:
    head = {"id": form.id, "object": name, "created": form.created, "model": form.model}
    return {**head, "choices": choices}


def _usage(form: Form, text: str) -> dict[str, Any]:
    completion = len(text.split())
    total = form.prompt_tokens + completion
    counts = {"prompt_tokens": form.prompt_tokens, "completion_tokens": completion}
    return {"usage": {**counts, "total_tokens": total}}
