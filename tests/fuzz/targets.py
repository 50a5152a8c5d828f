"""What is fuzzed. A target takes bytes, as a fuzzer gives them, and fails by an exception.

Each has a corpus, `corpus/<name>/*`: inputs that are worth beginning with, and those that once
were too much. The first bytes of an input never have a meaning of their own, so a file of the
corpus is just what it looks like.
"""

from __future__ import annotations

import itertools
import json
import pickle
import random
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from contract.config import ConfigError
from contract.messages import (
    Catalogue,
    Event,
    Finished,
    Job,
    MediaPart,
    Reasoning,
    Record,
    Text,
    ToolCallDelta,
    Verbatim,
    is_terminal,
)
from gateway.anthropic.dialect import ANTHROPIC
from gateway.anthropic.request import parse_message
from gateway.auth import admitted, digest_of, key_of, listed
from gateway.config import access_token, gateway_config
from gateway.dialect import Ask as GatewayAsk
from gateway.openai.chat_request import parse_chat
from gateway.openai.errors import body as error_body
from gateway.problems import Problem
from gateway.render.openai_errors import headers as error_headers
from gateway.render.usage import estimate_prompt
from gateway.responses.request import parse_response
from poe2gpt.flags import parse
from poe2gpt.settings import settings
from tests.support.openai_answers import chat_collector, chat_renderer, status_of
from tests.support.responses_wire import built_from
from tests.unit.gateway_responses.rendering import streamed
from worker.bot.reader import BotReader
from worker.bot.request import query_of
from worker.config import worker_config
from worker.messages.reader import MessagesReader
from worker.openai.reader import ChatReader
from worker.openai.request import body_of
from worker.poe.attachments import (
    Attachment,
    attachment,
    attachments_in,
    data_of,
    is_data,
    media_type_of,
)
from worker.poe.catalogue import read_catalogue
from worker.poe.errors import from_error_event, from_status
from worker.poe.faults import Fault, FaultKind, to_failure
from worker.poe.reader import AnswerReader
from worker.poe.sse import EventDecoder, ServerSentEvent
from worker.poe.upstream import Ask
from worker.responses import request as responses_request
from worker.responses.reader import ResponsesReader

CANARY = "p-canary-0123456789"
"""Stands for a secret in the inputs of `config`."""

SECRETS = {"tokens", "token", "accessTokens", "key", "redisUrl", "proxy"}

MAX_LINE = 64 * 1024


@dataclass(frozen=True)
class Target:
    """One thing that takes what strangers send."""

    name: str
    check: Callable[[bytes], None]
    words: tuple[bytes, ...]
    """What inputs are put together from, beside the corpus and plain noise."""

    @property
    def corpus(self) -> list[Path]:
        return sorted((Path(__file__).parent / "corpus" / self.name).iterdir())


def sse(data: bytes) -> None:
    """Wherever the network cuts a body, it holds the same events, and little memory is used."""
    whole = _decoded([data])
    assert _decoded(data[at : at + 1] for at in range(len(data))) == whole
    dice = random.Random(data)
    cuts = sorted(dice.choices(range(len(data) + 1), k=8))
    assert _decoded(data[a:b] for a, b in itertools.pairwise([0, *cuts, len(data)])) == whole

    decoder, bound = EventDecoder(max_event=512), 512 + len(data)
    try:
        for _ in range(3 * bound // max(1, len(data))):
            decoder.feed(data)
    except Fault as fault:
        assert fault.kind is FaultKind.PROTOCOL
    # A pickle holds every byte that the decoder does.
    assert len(pickle.dumps(decoder)) < 4 * bound + 1024


def bot(data: bytes) -> None:
    """Whatever a bot says, an answer comes of it that a gateway can read and a client too."""
    _answer(BotReader(), data)


def chat(data: bytes) -> None:
    """The same of Poe's other API."""
    _answer(ChatReader(), data)


def responses(data: bytes) -> None:
    """The same of Poe's Responses API."""
    _answer(ResponsesReader(), data)


def native(data: bytes) -> None:
    """Whatever comes over Poe's Anthropic API, what passes is in order, and its calls are whole."""
    stream = MessagesReader()
    events: list[Event] = []
    for each in _decoded([data]):
        events += stream.feed([each])
    try:
        events += stream.end()
    except Fault as fault:
        stream.fault = fault
    assert stream.is_over
    assert stream.finished is (stream.fault is None)
    record = Record("job", 1, 1, tuple(events))
    assert _crossed(record, Record) == record
    told = [event for event in events if isinstance(event, Verbatim)]
    assert [event.name for event in told[:1]] in ([], ["message_start"])
    reason = _follow(told)
    if stream.finished:
        assert told[-1].name == "message_stop"
        assert reason is not None


def _follow(told: list[Verbatim]) -> str | None:
    """Follow the blocks as a client does; return the stop reason."""
    blocks: dict[int, str] = {}
    arguments: dict[int, str] = {}
    reason: str | None = None
    for event in told:
        assert "\n" not in event.data
        data = json.loads(event.data)
        match event.name:
            case "content_block_start":
                assert data["index"] not in blocks
                blocks[data["index"]] = data["content_block"]["type"]
            case "content_block_delta":
                assert blocks[data["index"]]
                if data["delta"]["type"] == "input_json_delta":
                    text = arguments.get(data["index"], "") + data["delta"]["partial_json"]
                    arguments[data["index"]] = text
            case "content_block_stop":
                assert blocks[data["index"]]
                blocks[data["index"]] = ""
            case "message_delta":
                reason = data["delta"].get("stop_reason") or reason
            case "message_stop":
                assert event is told[-1]
                assert not any(blocks.values())
                for text in arguments.values() if reason == "tool_use" else ():
                    assert text.strip()[-1:] in ("", "}", "]")
    return reason


def poe_error(data: bytes) -> None:
    """Whatever an error of Poe's looks like, it is some fault, whose text is short."""
    status, _, body = data.partition(b"\n")
    number = int(status) if status.isdigit() and len(status) == 3 else 500
    value = body.decode("latin-1")
    headers = {"retry-after": value, "x-ratelimit-reset-requests": value}
    for fault in (from_status(number, headers, body, 0.0), from_error_event(body)):
        assert len(fault.message) <= 1000
        assert fault.retry_after is None or 0 <= fault.retry_after <= 86_400


def catalogue(data: bytes) -> None:
    """Whatever Poe lists, a gateway can read the list."""
    try:
        models = read_catalogue(data)
    except Fault as fault:
        assert fault.kind is FaultKind.PROTOCOL
    else:
        listed = Catalogue(0.0, models)
        assert _crossed(listed, Catalogue) == listed


def request(data: bytes) -> None:
    """A body is refused with OpenAI's 400, or is a job that a worker can read and send to Poe."""
    try:
        asked = parse_chat(data)
    except Problem as error:
        _assert_proper(error)
        return
    _ask(asked)


def messages(data: bytes) -> None:
    """A body is refused with Anthropic's 400, or is a job for whichever upstream."""
    try:
        asked = parse_message(data)
    except Problem as error:
        reply = ANTHROPIC.error(error, "req_1")
        assert reply.status == 400
        assert reply.body.isascii()
        assert json.loads(reply.body)["error"]["type"] == "invalid_request_error"
        return
    assert asked.native is not None
    (body,) = asked.native.body
    assert json.loads(body)["model"].strip() == asked.model
    _ask(asked)


def response(data: bytes) -> None:
    """The same of a request for a response, whose answer is a stream of OpenAI's events."""
    try:
        asked = parse_response(data)
    except Problem as error:
        _assert_proper(error)
        return
    _ask(asked)
    calls = [
        ToolCallDelta(index, f"call_{index}", tool.name, '{"input": "x"}')
        for index, tool in enumerate(asked.options.tools[:3])
    ]
    for shown in (asked, asked.shown_for(None)):
        events = streamed([[Reasoning("hm"), Text("so"), *calls], [Finished()]], shown)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert built_from(events) == events[-1]["response"]["output"]


def _ask(asked: GatewayAsk) -> None:
    assert estimate_prompt(asked.messages) > 0
    job = Job("job", "client", asked.model, asked.messages, asked.options, stream=asked.stream)
    read = _crossed(job, Job)
    assert read == job
    for translate in (query_of, body_of, responses_request.body_of):
        for simulate_roles in (0, 1, 2):
            try:
                attached = {part: _attachment(part) for part in attachments_in(read.messages)}
                ask = Ask(read, simulate_roles=simulate_roles, attachments=attached)
                msgspec.json.encode(translate(ask))
            except Fault as fault:
                assert fault.kind is FaultKind.BAD_REQUEST


def _attachment(part: MediaPart) -> Attachment:
    if is_data(part.url):
        data_of(part.url)
    return attachment(part, part.url, media_type_of(part))


def key(data: bytes) -> None:
    """No header but the one with the key opens the door, and no other raises anything but a 401."""
    token = access_token(CANARY)
    headers = data.decode("utf-8", "surrogateescape").split("\n")
    given = key_of(headers[0], *headers[1:])
    try:
        found = admitted(listed(digest_of(given), [token]), 0.0)
    except Problem as error:
        assert status_of(error) == 401
        _assert_proper(error)
        assert CANARY not in str(error)
    else:
        assert found is token
        assert given == CANARY


def config(data: bytes) -> None:
    """A file is a configuration, or its mistake is told; a secret is never part of that."""
    with tempfile.TemporaryDirectory(prefix="p2g-fuzz-") as directory:
        file = Path(directory) / "config.toml"
        file.write_bytes(data)
        for decode in (gateway_config, worker_config):
            try:
                read, warnings = decode(settings(parse(["--config", str(file)]), {})[0])
            except ConfigError as error:
                told = str(error)
            else:
                told = f"{read!r} {warnings}"
            assert CANARY not in told or not _is_secret(data), told


def _decoded(pieces: Iterator[bytes] | list[bytes]) -> list[ServerSentEvent]:
    decoder = EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def _answer(stream: AnswerReader, data: bytes) -> None:
    events: list[Event] = []
    for event in _decoded([data]):
        events += stream.feed([event])
    events += stream.end()
    assert stream.is_over
    assert stream.finished is (stream.fault is None)
    if stream.fault:
        events.append(to_failure(stream.fault, output=bool(events)))
    _relay(events)


def _relay(events: list[Event]) -> None:
    """Bring events over Redis, and to a client both as a stream and in one piece."""
    [*before, last] = events
    assert is_terminal(last)
    assert not any(map(is_terminal, before))
    record = Record("job", 1, 1, tuple(events))
    assert _crossed(record, Record) == record

    renderer = chat_renderer(3, include_usage=True)
    chunks = [chunk for event in events for chunk in renderer.feed(0, [event])]
    assert renderer.finished
    for chunk in chunks:
        assert chunk.isascii()
        assert "\n" not in chunk
        assert len(chunk) < MAX_LINE - len("data: ")
        json.loads(chunk, parse_constant=_no_json)
    assert ("[DONE]" in renderer.ending()) is isinstance(last, Finished)

    collector = chat_collector(3)
    collector.feed(0, events)
    if isinstance(last, Finished):
        json.loads(collector.body(), parse_constant=_no_json)


def _crossed(value: object, type_: type) -> object:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type_)


def _is_secret(data: bytes) -> bool:
    """Whether the canary is nowhere but where a file's secrets are."""
    text = data.decode()
    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.count(CANARY) == text.count(f'"{CANARY}"')
    return all(key in SECRETS for key in _keys_of_canaries(values, ""))


def _keys_of_canaries(value: object, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        for inner, held in value.items():
            yield from [inner] if CANARY in inner else _keys_of_canaries(held, inner)
    elif isinstance(value, list):
        for held in value:
            yield from _keys_of_canaries(held, key)
    elif CANARY in str(value):
        yield key


def _assert_proper(error: Problem) -> None:
    assert 400 <= status_of(error) < 500
    fields = json.loads(error_body(error))["error"]
    assert fields.keys() == {"message", "type", "param", "code"}
    assert isinstance(fields["message"], str)
    assert len(fields["message"]) <= 2000
    assert fields["param"] is None or isinstance(fields["param"], str)
    for name, value in error_headers(error):
        assert (name + value).isascii()
        assert "\n" not in value


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


_JSON = (b"null", b"true", b"-1", b"1e999", b"9" * 40, b'""', b"[]", b"{}", b"NaN", b'"\\ud800"')
_JSON += (b'"', b"\\", b"[" * 40, b'{"a":' * 40, b",", b":", b"\x00", b"\xff", b"\xe2\x80\xa8")

_SSE = (
    b"data: ",
    b"data:\n",
    b"event: ",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    b": ping\n",
)

_BOT = tuple(
    b"event: %b\ndata: %b\n\n" % (name, data)
    for name in (b"text", b"replace_response", b"json", b"file", b"error", b"done")
    for data in (b"", b"{}", b'{"text": "Thinking... (3s elapsed)"}', b'{"url": "x", "name": "]("}')
)

_RESPONSES = tuple(
    b'data: {"type": "response.%b", "output_index": 0, "item_id": "i", %b}\n\n' % (kind, field)
    for kind, field in (
        (b"output_text.delta", b'"delta": "x"'),
        (b"function_call_arguments.delta", b'"delta": "{"'),
        (b"function_call_arguments.done", b'"arguments": "{}"'),
        (b"output_item.added", b'"item": {"type": "function_call", "id": "i", "name": "f"}'),
        (b"completed", b'"response": {"output": [{"type": "function_call", "name": "f"}]}'),
        (b"failed", b'"response": {"error": {"code": "x"}}'),
    )
)

_NATIVE = tuple(
    b'event: %b\ndata: {"type": "%b", "index": 0, %b}\n\n' % (kind, kind, field)
    for kind, field in (
        (b"message_start", b'"message": {}'),
        (b"content_block_start", b'"content_block": {"type": "tool_use", "name": "f"}'),
        (b"content_block_start", b'"content_block": {"type": "text", "text": ""}'),
        (b"content_block_delta", b'"delta": {"type": "input_json_delta", "partial_json": "{}"}'),
        (b"content_block_delta", b'"delta": {"type": "text_delta", "text": "\\ud83d"}'),
        (b"content_block_stop", b'"x": 1'),
        (b"message_delta", b'"delta": {"stop_reason": "tool_use"}'),
        (b"message_stop", b'"x": 1'),
        (b"error", b'"error": {"type": "overloaded_error"}'),
    )
)

TARGETS = {
    target.name: target
    for target in (
        Target("sse", sse, _SSE),
        Target("bot", bot, _SSE + _BOT + _JSON),
        Target("chat", chat, _SSE + _JSON),
        Target("responses", responses, _SSE + _RESPONSES + _JSON),
        Target("native", native, _SSE + _NATIVE + _JSON),
        Target("poe_error", poe_error, (b"429\n", b"400\n", b'"message": ', *_JSON)),
        Target("catalogue", catalogue, _JSON),
        Target("request", request, _JSON),
        Target("messages", messages, _JSON),
        Target("response", response, _JSON),
        Target("key", key, (CANARY.encode(), b"Bearer ", b"\n", b"\xff", b"\x00", b"\xc5\xbf")),
        Target("config", config, (CANARY.encode(), b"[", b"]", b'"', b"=", b"{", b"\n", *_JSON)),
    )
}
