"""Workers between Poe's two interfaces: which is asked, what comes of it, and when the other is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Literal

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
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from simulated_poe import KeySettings, Model, Settings, SimulatedPoe
from tests.support.deployment import RedisServer, eventually, running_redis
from tests.support.keys import keys
from tests.support.worker_alone import Asking, failure, said, token, working
from worker.service import Service

PLAIN = Options()
BOT, OPENAI = ModelSettings(protocol="bot"), ModelSettings(protocol="openai")
CHAT = ("/v1/chat/completions",)
LOOK = Tool("look", "Looks at a place.", {"type": "object", "properties": {"at": {}}})

PROTOCOLS = pytest.mark.parametrize(
    "setting", [pytest.param(BOT, id="bot"), pytest.param(OPENAI, id="openai")]
)


@pytest.fixture
def asking(redis: Redis) -> Asking:
    return Asking(redis)


def kinds(poe: SimulatedPoe) -> list[str]:
    """Over which interface each call came."""
    return [call.kind for call in poe.record.calls]


def answer_in(events: Collection[Event]) -> str:
    """The text of an answer that comes with thoughts."""
    return said([event for event in events if not isinstance(event, Reasoning)])


async def answered(
    redis_server: RedisServer,
    poe: SimulatedPoe,
    asking: Asking,
    model: str,
    text: str = "hello",
    *,
    options: Options = PLAIN,
    messages: tuple[Message, ...] = (),
    stream: bool = False,
    models: Mapping[str, ModelSettings] | None = None,
) -> list[Event]:
    """One answer of a worker that was started for it, and has one token."""
    async with working(redis_server.url, poe.url, token("sim-a"), models=models or {}):
        job = await asking.ask(model, text, options=options, messages=messages, stream=stream)
        return await asking.answer(job)


# The choice.


@pytest.mark.parametrize(
    ("model", "stream", "kind"),
    [
        pytest.param("Echo", False, "chat", id="a model that lists chat completions"),
        pytest.param("GLM-5.2", False, "bot", id="a model that lists none"),
        pytest.param("Private", True, "bot", id="a bot in no catalogue"),
        pytest.param("nano-banana", True, "bot", id="pictures in a stream"),
        pytest.param("nano-banana", False, "chat", id="pictures as a whole"),
    ],
)
async def test_each_model_is_asked_over_the_interface_that_suits_it(
    redis_server: RedisServer, asking: Asking, model: str, stream: bool, kind: str
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, model, stream=stream)

        assert events[-1] == Finished()
        assert kinds(poe) == [kind]


async def test_the_configuration_knows_a_model_by_each_of_its_names(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        async with working(
            redis_server.url,
            poe.url,
            token("sim-a"),
            models={"muse-spark-1.1": OPENAI, "gpt-4o": BOT},
        ):
            await asking.answer(await asking.ask("muse-spark-1-1"))
            await asking.answer(await asking.ask("GPT-4o"))

        assert kinds(poe) == ["chat", "bot"]


# What both can do.


@PROTOCOLS
@pytest.mark.parametrize(
    ("bot", "text"),
    [
        ("Echo", "hello"),
        ("Think", "I have thought about it: hello"),
        ("Replace", "hello"),
        ("Suggest", "You said: hello"),
    ],
)
async def test_an_answer_is_the_same_over_both(
    redis_server: RedisServer, asking: Asking, bot: str, text: str, setting: ModelSettings
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, bot, models={bot.lower(): setting})

    assert said(events) == text
    assert events[-1] == Finished()


@PROTOCOLS
async def test_a_tool_is_called_and_its_result_told_over_both(
    redis_server: RedisServer, asking: Asking, setting: ModelSettings
) -> None:
    question = Message("user", 'call look {"at": "Paris"}')
    options = Options(tools=(LOOK,), tool_choice="required")
    async with (
        SimulatedPoe() as poe,
        working(redis_server.url, poe.url, token("sim-a"), models={"tool": setting}),
    ):
        asked = await asking.answer(await asking.ask("Tool", options=options, messages=(question,)))
        calls = [event for event in asked if isinstance(event, ToolCallDelta)]
        call = ToolCall(calls[0].id, calls[0].name, "".join(call.arguments for call in calls))
        told = await asking.answer(
            await asking.ask(
                "Tool",
                options=Options(tools=(LOOK,)),
                messages=(
                    question,
                    Message("assistant", "", tool_calls=(call,)),
                    Message("tool", "a tower", tool_call_id=call.id),
                ),
            )
        )

    assert call.name == "look"
    assert json.loads(call.arguments) == {"at": "Paris"}
    assert asked[-1] == Finished("tool_calls")
    assert said(told) == "look says: a tower"
    assert told[-1] == Finished()


async def test_the_openai_api_tells_token_counts_and_why_an_answer_ended(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server, poe, asking, "Count", "count to 99", options=Options(max_tokens=20)
        )

    assert said(events).split() == [str(n) for n in range(1, 21)]
    assert events[-2:] == [Usage(3, 20), Finished("length")]


async def test_a_bound_too_low_for_poe_is_kept_all_the_same(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server, poe, asking, "GPT-4o", "word " * 30, options=Options(max_tokens=4)
        )

    assert events[-1] == Finished("length")
    assert said(events).startswith("word ")
    assert len(said(events)) <= 20


async def test_only_what_the_model_declares_is_sent_to_the_strictest_poe(
    redis_server: RedisServer, asking: Asking
) -> None:
    options = Options(
        logit_bias={"1": 1.0}, reasoning_effort="high", top_p=0.5, extra={"count": 3, "seen": 1}
    )
    async with SimulatedPoe(Settings(validation="strictest")) as poe:
        events = await answered(redis_server, poe, asking, "Count", options=options)

        assert said(events) == "1 2 3"
        assert kinds(poe) == ["chat"]


async def test_a_parameter_with_a_wrong_value_is_refused_by_name_and_costs_nothing(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server, poe, asking, "Count", options=Options(extra={"count": "three"})
        )

        assert failure(events).kind is FailureKind.INVALID_REQUEST
        assert "`count` must be a number" in failure(events).message
        assert kinds(poe) == []


# Failures.


FAILURES = [
    ("Fail-400", FailureKind.INVALID_REQUEST, 1),
    ("Fail-402", FailureKind.NO_POINTS, 1),
    ("Fail-403", FailureKind.MODEL_NOT_ALLOWED, 1),
    ("Fail-404", FailureKind.MODEL_NOT_FOUND, 1),
    ("Fail-413", FailureKind.CONTEXT_TOO_LONG, 1),
    ("Fail-500", FailureKind.UPSTREAM_FAILED, 3),
    ("Fail-529", FailureKind.OVERLOADED, 3),
    ("Fail-late", FailureKind.UPSTREAM_FAILED, 1),
    ("Cut-3", FailureKind.UPSTREAM_FAILED, 1),
]


@pytest.mark.parametrize("shape", ["a", "b"])
async def test_a_failure_of_the_openai_api_is_told_as_what_it_is(shape: Literal["a", "b"]) -> None:
    async def failed(bot: str) -> tuple[str, FailureKind, int]:
        # What is said of a key makes it unfit for the next, so each gets a worker.
        async with (
            running_redis() as server,
            Redis.from_url(server.url, protocol=2) as redis,
            SimulatedPoe(Settings(error_shape=shape)) as poe,
        ):
            models = {bot.lower(): OPENAI}
            events = await answered(server, poe, Asking(redis), bot, models=models)
            assert set(kinds(poe)) == {"chat"}
            return bot, failure(events).kind, len(poe.record.calls)

    assert await asyncio.gather(*(failed(bot) for bot, _, _ in FAILURES)) == FAILURES


async def test_an_answer_that_is_cut_off_is_a_failure_behind_its_text(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe(Settings(late_errors="cut")) as poe:
        models = {"fail-late": OPENAI}
        events = await answered(redis_server, poe, asking, "Fail-late", models=models)

        assert said(events) == "This answer begins well, but then "
        assert failure(events).charged
        assert kinds(poe) == ["chat"]


# From one to the other.


async def test_what_one_interface_does_not_support_the_other_is_asked_for_once(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server, poe, asking, "GPT-5.4-Pro", options=Options(temperature=0.5)
        )

        assert answer_in(events) == "The answer to: hello"
        assert kinds(poe) == ["chat", "bot"]


async def test_a_kind_that_has_refused_is_not_asked_again_when_the_job_comes_back(
    redis_server: RedisServer, asking: Asking
) -> None:
    slow = token("sim-a", cool_down=1.0)
    async with (
        SimulatedPoe() as poe,
        working(redis_server.url, poe.url, slow),
    ):
        job = await asking.ask("GPT-5.4-Pro", options=Options(temperature=0.5))
        events = await asking.answer(job)

        assert answer_in(events) == "The answer to: hello"
        assert kinds(poe) == ["chat", "bot"]


async def test_an_interface_by_configuration_is_the_only_one(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server,
            poe,
            asking,
            "GPT-5.4-Pro",
            options=Options(temperature=0.5),
            models={"gpt-5.4-pro": OPENAI},
        )

        assert failure(events).kind is FailureKind.INVALID_REQUEST
        assert "temperature" in failure(events).message
        assert kinds(poe) == ["chat"]


# Tools in words.


async def test_tools_for_a_model_without_any_are_refused_with_the_setting_that_helps(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, "Echo", options=Options(tools=(LOOK,)))

        assert failure(events).kind is FailureKind.INVALID_REQUEST
        assert "toolEmulation" in failure(events).message
        assert kinds(poe) == []


async def test_tools_are_put_into_words_where_that_is_configured(
    redis_server: RedisServer, asking: Asking
) -> None:
    words = '<tool_call name="look">\n<arg name="at">Paris</arg>\n</tool_call>'
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server,
            poe,
            asking,
            "Script",
            json.dumps([{"event": "text", "data": {"text": words}}]),
            options=Options(tools=(LOOK,)),
            models={"script": ModelSettings(tool_emulation=True)},
        )

        call, end = events[-2:]
        assert isinstance(call, ToolCallDelta)
        assert (call.name, json.loads(call.arguments)) == ("look", {"at": "Paris"})
        assert end == Finished("tool_calls")
        assert kinds(poe) == ["bot"]


# Answers with a form.


async def test_a_call_is_left_when_nothing_more_of_it_is_wanted(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe(Settings(bot_stop="ignored")) as poe:
        events = await answered(
            redis_server,
            poe,
            asking,
            "Count",
            "count to 1000 every 20ms",
            options=Options(stop=(" 7",)),
            models={"count": BOT},
        )

        assert said(events) == "1 2 3 4 5 6"
        assert events[-1] == Finished(stop=" 7")
        await eventually(lambda: poe.record.calls[0].outcome == "client_left", "the hanging up")
        assert len(poe.record.calls) == 1


async def test_an_answer_in_a_wrong_form_is_asked_for_once_more(
    redis_server: RedisServer, asking: Asking
) -> None:
    options = Options(format=Format("place", {"type": "object"}))
    async with SimulatedPoe() as poe:
        events = await answered(redis_server, poe, asking, "Json-broken", options=options)

        assert isinstance(json.loads(said(events)), dict)
        assert events[-1] == Finished()
        assert len(poe.record.calls) == 2


async def test_a_form_that_is_missed_twice_is_a_refusal(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        wanted = Options(format=Format("any", {"type": "object"}))
        events = await answered(redis_server, poe, asking, "Json-never", options=wanted)

        assert said(events) == ""
        assert isinstance(events[-2], Refusal)
        assert events[-1] == Finished()
        assert len(poe.record.calls) == 2


async def test_json_of_no_schema_that_is_missed_twice_is_given_as_it_is(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server, poe, asking, "Json-never", options=Options(format=Format())
        )

        assert said(events) == '{"unfinished": '
        assert events[-1] == Finished()
        assert not any(isinstance(event, Refusal) for event in events)
        assert len(poe.record.calls) == 2


async def test_a_check_that_takes_for_ever_delays_nobody_else_and_is_given_up(
    redis_server: RedisServer, asking: Asking
) -> None:
    defs = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    endless = Format("endless", {"$ref": "#/$defs/d0", "$defs": {**defs, "d40": {}}})
    async with (
        SimulatedPoe() as poe,
        working(redis_server.url, poe.url, token("sim-a"), models={"script": BOT}),
    ):
        script = _script(_says("{}"), {"event": "done", "data": {}})
        hostile = await asking.ask("Script", script, options=Options(format=endless))
        answering = asyncio.create_task(asking.answer(hostile))
        await eventually(lambda: any(c.outcome for c in poe.record.calls), "Poe's whole answer")

        other = await asking.ask("Echo", "hello")

        assert said(await asking.answer(other)) == "hello"
        assert not answering.done()
        events = await answering
        assert isinstance(events[-2], Refusal)
        assert "takes too long" in events[-2].text
        assert [call.bot for call in poe.record.calls] == ["Script", "Echo"]


async def test_a_form_is_missed_twice_at_most_though_the_job_comes_back_meanwhile(
    redis_server: RedisServer, asking: Asking
) -> None:
    slow = token("sim-a", cool_down=1.0)
    async with (
        SimulatedPoe() as poe,
        working(redis_server.url, poe.url, slow),
    ):
        wanted = Options(format=Format("any", {"type": "object"}))
        job = await asking.ask("Json-never", options=wanted)
        events = await asking.answer(job)

        assert isinstance(events[-2], Refusal)
        assert len(poe.record.calls) == 2


def _script(*steps: object) -> str:
    return json.dumps(steps)


def _says(text: str) -> dict[str, object]:
    return {"event": "text", "data": {"text": text}}


async def test_what_poe_has_begun_to_answer_is_not_asked_again_though_nothing_was_shown(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server,
            poe,
            asking,
            "Script",
            _script(_says('{"half": '), {"cut": True}),
            options=Options(format=Format()),
            models={"script": BOT},
        )

        assert len(poe.record.calls) == 1
        assert failure(events).charged
        assert said(events) == ""


async def test_a_failure_behind_a_first_answer_in_a_wrong_form_is_told_as_charged(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe(Settings(keys={"sim-a": KeySettings("a", points=1)})) as poe:
        events = await answered(
            redis_server,
            poe,
            asking,
            "Json-never",
            options=Options(format=Format()),
            models={"json-never": BOT},
        )

        assert len(poe.record.calls) == 2
        assert failure(events).kind is FailureKind.NO_POINTS
        assert failure(events).charged


async def test_words_before_a_call_that_does_not_match_come_before_the_refusal(
    redis_server: RedisServer, asking: Asking
) -> None:
    options = Options(tools=(LOOK,), stop=("here. Never",))
    words = 'I am here. <tool_call name="fly">{}</tool_call>'
    async with SimulatedPoe() as poe:
        events = await answered(
            redis_server,
            poe,
            asking,
            "Script",
            _script(_says("See: "), {"sleep": 0.05}, _says(words)),
            options=options,
            models={"script": ModelSettings(tool_emulation=True)},
        )

        assert said(events) == "See: I am here."
        assert isinstance(events[-2], Refusal)
        assert events[-1] == Finished()
        assert len(poe.record.calls) == 1


# The catalogue.


async def _known(service: Service, name: str) -> None:
    await eventually(lambda: service.models.find(name), f"the news of {name}")


async def test_a_model_that_nobody_knew_is_looked_for(
    redis_server: RedisServer, asking: Asking, redis: Redis
) -> None:
    async with (
        SimulatedPoe() as poe,
        working(redis_server.url, poe.url, token("sim-a"), name="w1") as one,
        working(redis_server.url, poe.url, name="w2") as other,
    ):
        await _known(one, "Echo")
        await _known(other, "Echo")
        before = await redis.get(keys.catalogue_version)
        poe.catalogue.add(Model("Echo-2", "echo", endpoints=CHAT))

        assert one.models.find("Echo-2") is None
        await _known(one, "echo-2")
        await _known(other, "echo-2")
        await asking.answer(await asking.ask("Echo-2", "hello"))

        assert await redis.get(keys.catalogue_version) != before
        assert kinds(poe) == ["chat"]


async def test_without_any_catalogue_every_model_is_asked_as_a_bot(
    redis_server: RedisServer, asking: Asking
) -> None:
    async with SimulatedPoe(Settings(catalogue_status=500)) as poe:
        events = await answered(redis_server, poe, asking, "Echo")

        assert said(events) == "hello"
        assert kinds(poe) == ["bot"]


async def test_the_last_good_catalogue_is_used_while_poe_has_none(
    redis_server: RedisServer, asking: Asking, redis: Redis
) -> None:
    async with SimulatedPoe() as poe:
        async with working(redis_server.url, poe.url, name="w1") as first:
            await _known(first, "Echo")
        poe.catalogue.status = 503
        await redis.delete(keys.catalogue_lock)

        events = await answered(redis_server, poe, asking, "Echo")

        assert await redis.exists(keys.catalogue_lock)
        assert said(events) == "hello"
        assert kinds(poe) == ["chat"]
