"""Workers and Poe's Responses API: what goes over it, what comes of it, and how it fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from redis.asyncio import Redis

from contract.config import ModelSettings
from contract.messages import (
    Event,
    FailureKind,
    Finished,
    Format,
    Message,
    Options,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from simulated_poe import Model, Settings, SimulatedPoe
from tests.support.deployment import RedisServer
from tests.support.worker_alone import Asking, failure, said, token, working
from worker.config import WorkerConfig

ALL = ("/v1/responses", "/v1/chat/completions")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
}
OBJECT = {"city": "text", "population": 0}
JSON = Options(format=Format("place", SCHEMA))
LOOK = Tool("look", "Looks at a place.", {"type": "object", "properties": {"at": {}}})
RESPONSES = ModelSettings(protocol="responses")


@pytest.fixture
def asking(redis: Redis) -> Asking:
    return Asking(redis)


def kinds(poe: SimulatedPoe) -> list[str]:
    """Over which interface each call came."""
    return [call.kind for call in poe.record.calls]


def texts(events: Collection[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Text)]


async def answered(
    redis_server: RedisServer,
    poe: SimulatedPoe,
    asking: Asking,
    model: str,
    text: str = "hello",
    *,
    options: Options = JSON,
    messages: tuple[Message, ...] = (),
    stream: bool = True,
    setting: ModelSettings | None = None,
    use_responses: bool = True,
) -> list[Event]:
    """One answer of a worker that was started for it, and has one token."""
    models = {} if setting is None else {model.lower(): setting}
    async with working(
        redis_server.url, poe.url, token("sim-a"), models=models, use_responses=use_responses
    ):
        job = await asking.ask(model, text, options=options, messages=messages, stream=stream)
        return await asking.answer(job)


# The form of an answer.


async def test_json_comes_in_pieces_of_one_call(redis_server: RedisServer, asking: Asking) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, "GPT-5.4-Mini", "one, every 50ms")

        assert json.loads(said(events)) == OBJECT
        assert len(texts(events)) > 1
        assert isinstance(events[-2], Usage)
        assert events[-1] == Finished()
        assert kinds(poe) == ["responses"]
        (body,) = poe.record.bodies

    assert body["text"]["format"]["strict"] is True
    assert [item["role"] for item in body["input"]] == ["user"]
    assert "instructions" not in body


async def test_json_for_one_who_does_not_read_along_is_one_call_too(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, "GPT-5.4-Mini", stream=False)

        assert [json.loads(text) for text in texts(events)] == [OBJECT]
        assert kinds(poe) == ["responses"]


async def test_json_without_a_schema_is_asked_for_in_words_as_well(
    redis_server: RedisServer, asking: Asking
) -> None:
    options = Options(format=Format())
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, "GPT-4o", options=options)

        assert json.loads(said(events)) == {"answer": "hello"}
        assert kinds(poe) == ["responses"]


@pytest.mark.parametrize(
    ("plays", "form", "answer"),
    [
        pytest.param("json-fenced", "kept", json.dumps(OBJECT), id="in a code block"),
        pytest.param("json-broken", "kept", "", id="broken JSON"),
        pytest.param("echo", "ignored", "", id="no JSON at all"),
    ],
)
async def test_what_is_not_the_object_is_mended_or_refused(
    redis_server: RedisServer, asking: Asking, plays: str, form: Any, answer: str
) -> None:
    async with SimulatedPoe(Settings(formats=form)) as poe:
        poe.catalogue.add(Model("Wild", plays, endpoints=ALL))
        events = await answered(redis_server, poe, asking, "Wild")

    refused = [event for event in events if isinstance(event, Refusal)]
    assert events[-1] == Finished()
    if answer:
        assert json.loads(said(events)) == json.loads(answer)
    else:
        assert len(refused) == 1


async def test_prose_in_place_of_the_object_is_asked_again_in_words(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe(Settings(formats="ignored")) as poe:
        poe.catalogue.add(Model("Chatty", "emulate", endpoints=ALL))
        script = json.dumps(["I would rather not.", json.dumps(OBJECT)])
        events = await answered(redis_server, poe, asking, "Chatty", script)

        assert json.loads(said(events)) == OBJECT
        assert kinds(poe) == ["responses", "responses"]
        first, second = (json.dumps(body["input"]) for body in poe.record.bodies)

    assert "JSON schema" not in first
    assert "JSON schema" in second


async def test_a_wrong_object_that_was_sent_is_followed_by_a_refusal(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        poe.catalogue.add(Model("Wrong", "json-wrong", endpoints=ALL))
        events = await answered(redis_server, poe, asking, "Wrong")

        assert said(events) == '{"nobody_asked_for": true}'
        assert kinds(poe) == ["responses"]

    assert isinstance(events[-2], Refusal)


async def test_a_wrong_object_that_nobody_has_seen_is_asked_for_again(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        poe.catalogue.add(Model("Wrong", "json-wrong", endpoints=ALL))
        events = await answered(redis_server, poe, asking, "Wrong", stream=False)

        assert json.loads(said(events)) == OBJECT
        assert kinds(poe) == ["responses", "responses"]


# The choice.


async def test_with_the_setting_off_json_is_asked_for_in_words(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        poe.catalogue.add(Model("Poet", "json", endpoints=ALL))
        events = await answered(redis_server, poe, asking, "Poet", use_responses=False)

        assert json.loads(said(events)) == OBJECT
        assert kinds(poe) == ["chat"]


async def test_the_setting_takes_effect_while_a_worker_runs(
    redis_server: RedisServer, asking: Asking
) -> None:
    own = token("sim-a")
    async with SimulatedPoe() as poe, working(redis_server.url, poe.url, own) as service:
        poe.catalogue.add(Model("Poet", "json", endpoints=ALL))
        await asking.answer(await asking.ask("Poet", options=JSON))
        service.configure(WorkerConfig(tokens=(own,), use_responses=False))
        await asking.answer(await asking.ask("Poet", options=JSON))

        assert kinds(poe) == ["responses", "chat"]


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param("text.format", id="the field for it"),
        pytest.param("temperature", id="another field"),
    ],
)
async def test_what_it_refuses_chat_completions_may_answer(
    redis_server: RedisServer, asking: Asking, refused: str
) -> None:
    async with SimulatedPoe() as poe:
        poe.catalogue.add(Model("Stubborn", "json", endpoints=ALL, refuses=(refused,)))
        options = Options(format=JSON.format, temperature=0.5)
        events = await answered(redis_server, poe, asking, "Stubborn", options=options)

        assert json.loads(said(events)) == OBJECT
        assert kinds(poe)[:2] == ["responses", "chat"]


async def test_a_field_that_a_model_can_do_without_is_refused_once(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe, working(redis_server.url, poe.url, token("sim-a")):
        poe.catalogue.add(Model("Curt", "json", endpoints=ALL, refuses=("store",)))
        for _ in range(2):
            job = await asking.ask("Curt", options=JSON, stream=True)
            assert json.loads(said(await asking.answer(job))) == OBJECT

        assert [(call.kind, call.status) for call in poe.record.calls] == [
            ("responses", 400),
            ("responses", 200),
            ("responses", 200),
        ]


async def test_a_search_that_only_the_responses_api_knows_goes_there(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        poe.catalogue.add(Model("Finder", "echo", endpoints=ALL, searches=True))
        options = Options(extra={"web_search": True})
        events = await answered(redis_server, poe, asking, "Finder", options=options)

        assert said(events) == "hello"
        assert kinds(poe) == ["responses"]
        assert poe.record.bodies[0]["tools"] == [{"type": "web_search_preview"}]


async def test_three_interfaces_are_tried_in_turn_and_each_once(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        poe.catalogue.add(Model("Nowhere", "fail-404-a", endpoints=ALL))
        events = await answered(redis_server, poe, asking, "Nowhere")

        assert failure(events).kind is FailureKind.MODEL_NOT_FOUND
        assert kinds(poe) == ["responses", "chat", "bot"]


# Thoughts, tools, limits.


async def test_a_summary_of_the_thoughts_comes_beside_the_answer(
    redis_server: RedisServer, asking: Asking
) -> None:
    options = Options(reasoning_effort="high", summary="detailed")
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, "GPT-5.4", options=options)
        (body,) = poe.record.bodies

    thoughts = [event.text for event in events if isinstance(event, Reasoning)]
    assert "".join(thoughts) == "The question is:\n\nhello"
    assert "".join(texts(events)) == "The answer to: hello"
    assert body["reasoning"] == {"effort": "high", "summary": "detailed"}
    (usage,) = (event for event in events if isinstance(event, Usage))
    assert usage.reasoning_tokens


async def test_strict_tools_are_called_and_their_results_told(
    redis_server: RedisServer, asking: Asking
) -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
    options = Options(tools=(Tool("look", "", schema, strict=True),), tool_choice="auto")
    asked = Message("user", 'call look {"at": "Paris"} and call look {"at": "Rome"}')
    system = Message("system", "Be brief.")
    async with (
        SimulatedPoe() as poe,
        working(redis_server.url, poe.url, token("sim-a")),
    ):
        job = await asking.ask(
            "GPT-5.4-Mini", options=options, messages=(system, asked), stream=True
        )
        deltas = [e for e in await asking.answer(job) if isinstance(e, ToolCallDelta)]
        called = {delta.index: (delta.id, delta.name) for delta in deltas if delta.name}
        calls = tuple(
            ToolCall(
                call_id, name, "".join(delta.arguments for delta in deltas if delta.index == index)
            )
            for index, (call_id, name) in called.items()
        )
        results = tuple(Message("tool", f"sun {c.arguments}", tool_call_id=c.id) for c in calls)
        history = (system, asked, Message("assistant", "", tool_calls=calls), *results)
        last = await asking.answer(
            await asking.ask("GPT-5.4-Mini", options=options, messages=history, stream=True)
        )

        assert kinds(poe) == ["responses", "responses"]

    assert [json.loads(call.arguments) for call in calls] == [{"at": "Paris"}, {"at": "Rome"}]
    assert [call.name for call in calls] == ["look", "look"]
    assert said(last).count("look says: sun") == 2


async def test_an_answer_cut_by_max_tokens_is_sent_as_it_is(
    redis_server: RedisServer, asking: Asking
) -> None:
    options = Options(max_tokens=16)
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server,
            poe,
            asking,
            "Long",
            "100 words",
            options=options,
            setting=RESPONSES,
        )

    assert len(said(events).split()) == 16
    assert events[-1] == Finished("length")


# Failures: the table "Paid once" of docs/upstreams.md.


def script(*raw: str, end: str = "cut") -> str:
    """A question that makes Script send these bytes."""
    return json.dumps([*({"raw": each} for each in raw), {end: True}])


def wire(kind: str, **fields: Any) -> str:
    data = json.dumps({"type": f"response.{kind}", **fields})
    return f"event: response.{kind}\ndata: {data}\n\n"


CREATED = wire("created", response={"status": "in_progress"})
TEXT = wire("output_text.delta", output_index=0, delta="Hi")
BROKEN = {"status": "failed", "error": {"code": "server_error", "message": "It broke."}}
FAILED = wire("failed", response=BROKEN)

FAILURES = {
    "400": ("Fail-400", "", 1, FailureKind.INVALID_REQUEST),
    "413": ("Fail-413", "", 1, FailureKind.CONTEXT_TOO_LONG),
    "500": ("Fail-500", "", 3, FailureKind.UPSTREAM_FAILED),
    "no status": ("Cut-0", "", 2, FailureKind.UPSTREAM_FAILED),
    "a page": ("Garbage-html", "", 1, FailureKind.UPSTREAM_FAILED),
    "cut before anything": ("Script", script(CREATED), 1, FailureKind.UPSTREAM_FAILED),
    "cut behind text": ("Script", script(CREATED, TEXT), 1, FailureKind.UPSTREAM_FAILED),
    "cut within an event": ("Script", script(CREATED, TEXT[:-9]), 1, FailureKind.UPSTREAM_FAILED),
    "failed before anything": ("Script", script(CREATED, FAILED), 1, FailureKind.UPSTREAM_FAILED),
    "failed behind text": ("Fail-late", "", 1, FailureKind.UPSTREAM_FAILED),
}
SILENCES = {
    case: (bot, "wait 30", 1, FailureKind.UPSTREAM_TIMEOUT)
    for case, bot in (("no status", "Silent"), ("a head", "Silent-open"), ("text", "Silent-stall"))
}


@pytest.mark.parametrize(
    ("cases", "timeout"),
    [pytest.param(FAILURES, 30.0, id="failures"), pytest.param(SILENCES, 0.5, id="silences")],
)
async def test_a_failure_is_asked_again_only_where_it_cost_nothing(
    redis_server: RedisServer,
    asking: Asking,
    cases: Mapping[str, tuple[str, str, int, FailureKind]],
    timeout: float,
) -> None:
    async with SimulatedPoe() as poe:
        for case, (bot, _, _, _) in cases.items():
            poe.catalogue.add(Model(case, bot.lower(), endpoints=ALL))
        settings = dict.fromkeys(cases, RESPONSES)
        async with working(
            redis_server.url, poe.url, token("sim-a"), models=settings, timeout=timeout
        ):
            jobs = {
                case: await asking.ask(case, text or case, stream=True)
                for case, (_, text, _, _) in cases.items()
            }
            failures = {case: failure(await asking.answer(job)) for case, job in jobs.items()}

        asked = Counter(call.bot for call in poe.record.calls)
        assert {call.kind for call in poe.record.calls} == {"responses"}

    for case, (_, _, calls, kind) in cases.items():
        assert (case, asked[case], failures[case].kind) == (case, calls, kind)


async def test_after_a_500_the_next_attempt_goes_over_chat_completions(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        poe.catalogue.add(Model("Ill", "fail-500", endpoints=ALL))
        events = await answered(redis_server, poe, asking, "Ill")

        assert failure(events).kind is FailureKind.UPSTREAM_FAILED
        assert kinds(poe) == ["responses", "chat", "chat"]
