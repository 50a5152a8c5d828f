"""Which upstream a job goes to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.config import ModelSettings
from contract.messages import (
    Format,
    Job,
    MediaPart,
    Message,
    Model,
    Native,
    Options,
    TextPart,
    Tool,
)
from worker.poe.faults import Fault, FaultKind
from worker.policy.route import emulates_tools, fallback, instead, route
from worker.upstreams import UPSTREAMS

CHAT = ("/v1/responses", "/v1/chat/completions")
PLAIN = Options()
TOOLS = Options(tools=(Tool("look"),))
REQUIRED = Options(tools=(Tool("look"),), tool_choice="required")

JSON = Options(format=Format("x", {"type": "object"}))
STRICT_TOOL = Options(tools=(Tool("look", strict=True),))
SUMMARY = Options(summary="auto")

UNKNOWN = None
LISTED = Model("m", 0, "", output_modalities=("text",), endpoints=CHAT, features=("tools",))
TOOLLESS = Model("m", 0, "", output_modalities=("text",), endpoints=CHAT)
UNLISTED = Model("m", 0, "", output_modalities=("text",), features=("tools",))
PAINTER = Model("m", 0, "", output_modalities=("text", "image"), endpoints=CHAT)

ONLY_CHAT = Model("m", 0, "", output_modalities=("text",), endpoints=CHAT[1:], features=("tools",))
SEARCH = Options(extra={"web_search": True})
FINDER = Model("m", 0, "", endpoints=CHAT, features=("web_search",))
TUNED = Model("m", 0, "", endpoints=CHAT, features=("web_search",), parameters={"web_search": {}})
THINKER = Model("m", 0, "", output_modalities=("text",), endpoints=CHAT, reasons=True)

AUTO, BOT, OPENAI = (ModelSettings(protocol=p) for p in ("auto", "bot", "openai"))
RESPONSES = ModelSettings(protocol="responses")
MESSAGES = ModelSettings(protocol="messages")
SPEAKS_ALL = Model(
    "m", 0, "", output_modalities=("text",), endpoints=("/v1/messages", *CHAT), features=("tools",)
)
SPEAKS_ONE = Model("m", 0, "", output_modalities=("text",), endpoints=("/v1/messages",))

EMULATED = ModelSettings(tool_emulation=True)


def job(options: Options = PLAIN, *media: MediaPart, stream: bool = False) -> Job:
    content: Any = (TextPart("Hi"), *media) if media else "Hi"
    return Job("j", "c", "m", (Message("user", content),), options, stream=stream)


def native(options: Options = PLAIN, path: str = "/v1/messages") -> Job:
    return msgspec.structs.replace(job(options), native=Native(path, (b"{}",)))


def media(kind: Any, url: str) -> MediaPart:
    return MediaPart(kind, url)


@pytest.mark.parametrize(
    ("asked", "model", "setting", "upstream"),
    [
        pytest.param(job(), LISTED, AUTO, "openai", id="a listed model"),
        pytest.param(job(TOOLS), LISTED, AUTO, "openai", id="tools"),
        pytest.param(job(stream=True), LISTED, AUTO, "openai", id="a stream"),
        pytest.param(job(), UNKNOWN, AUTO, "bot", id="an unknown model"),
        pytest.param(job(), UNLISTED, AUTO, "bot", id="a model without endpoints"),
        pytest.param(job(TOOLS), UNLISTED, AUTO, "bot", id="tools without endpoints"),
        pytest.param(job(stream=True), PAINTER, AUTO, "bot", id="pictures, streamed"),
        pytest.param(job(), PAINTER, AUTO, "openai", id="pictures, whole"),
        pytest.param(job(TOOLS), TOOLLESS, EMULATED, "bot", id="tools to be emulated"),
        pytest.param(job(), TOOLLESS, EMULATED, "openai", id="no tools to be emulated"),
        pytest.param(job(TOOLS), LISTED, EMULATED, "openai", id="tools of its own"),
        pytest.param(
            job(Options(), media("file", "https://x/a.pdf")),
            LISTED,
            AUTO,
            "bot",
            id="a file by its address",
        ),
        pytest.param(
            job(Options(), media("file", "DATA:application/pdf;base64,aa")),
            LISTED,
            AUTO,
            "openai",
            id="a file in the request",
        ),
        pytest.param(
            job(Options(), media("image", "https://x/a.png")),
            LISTED,
            AUTO,
            "openai",
            id="an image by its address",
        ),
        pytest.param(job(JSON), LISTED, AUTO, "responses", id="JSON"),
        pytest.param(job(Options(format=Format())), LISTED, AUTO, "responses", id="any object"),
        pytest.param(job(JSON, stream=True), LISTED, AUTO, "responses", id="JSON, streamed"),
        pytest.param(job(JSON), ONLY_CHAT, AUTO, "openai", id="JSON where it is not listed"),
        pytest.param(job(JSON), UNLISTED, AUTO, "bot", id="JSON where nothing is listed"),
        pytest.param(job(JSON), UNKNOWN, AUTO, "bot", id="JSON of an unknown model"),
        pytest.param(job(JSON, stream=True), PAINTER, AUTO, "bot", id="JSON of a painter"),
        pytest.param(job(JSON), LISTED, OPENAI, "openai", id="JSON where it is configured"),
        pytest.param(
            job(JSON, media("image", "https://x/a.png")), LISTED, AUTO, "responses", id="an image"
        ),
        pytest.param(
            job(JSON, media("file", "data:application/pdf;base64,aa")),
            LISTED,
            AUTO,
            "openai",
            id="JSON about a file",
        ),
        pytest.param(
            job(JSON, media("file", "https://x/a.pdf")),
            LISTED,
            AUTO,
            "bot",
            id="JSON about a file by its address",
        ),
        pytest.param(job(STRICT_TOOL), LISTED, AUTO, "responses", id="a strict tool"),
        pytest.param(
            job(Options(tools=(Tool("look", strict=True),), tool_choice="none")),
            LISTED,
            AUTO,
            "openai",
            id="a strict tool that is not to be called",
        ),
        pytest.param(job(STRICT_TOOL), TOOLLESS, EMULATED, "bot", id="a strict one, emulated"),
        pytest.param(job(SUMMARY), THINKER, AUTO, "responses", id="a summary of thoughts"),
        pytest.param(job(SUMMARY), LISTED, AUTO, "openai", id="a summary of none"),
        pytest.param(job(SEARCH), FINDER, AUTO, "responses", id="a search"),
        pytest.param(job(SEARCH), TUNED, AUTO, "openai", id="a search by a parameter"),
        pytest.param(job(SEARCH), LISTED, AUTO, "openai", id="a search that it cannot make"),
        pytest.param(job(), LISTED, RESPONSES, "responses", id="the Responses API, configured"),
        pytest.param(job(), LISTED, BOT, "bot", id="the bot protocol by configuration"),
        pytest.param(job(), UNKNOWN, OPENAI, "openai", id="the other by configuration"),
        pytest.param(native(), SPEAKS_ALL, AUTO, "messages", id="Anthropic's dialect"),
        pytest.param(native(), LISTED, AUTO, "openai", id="a model that does not speak it"),
        pytest.param(native(), UNKNOWN, AUTO, "bot", id="an unknown model"),
        pytest.param(native(path="/v1/x"), SPEAKS_ALL, AUTO, "openai", id="another dialect"),
        pytest.param(job(), SPEAKS_ALL, AUTO, "openai", id="OpenAI's dialect"),
        pytest.param(job(), SPEAKS_ONE, AUTO, "bot", id="neither of its own"),
        pytest.param(native(), SPEAKS_ALL, OPENAI, "openai", id="translated by configuration"),
        pytest.param(native(), UNKNOWN, MESSAGES, "messages", id="native by configuration"),
        pytest.param(job(), LISTED, MESSAGES, "openai", id="what cannot be native"),
        pytest.param(native(TOOLS), TOOLLESS, EMULATED, "bot", id="native tools to be emulated"),
    ],
)
def test_a_job_goes_to_the_interface_that_suits_it(
    asked: Job, model: Model | None, setting: ModelSettings, upstream: str
) -> None:
    assert route(asked, model, setting).name == upstream


@pytest.mark.parametrize(
    ("tried", "unused", "upstream"),
    [
        pytest.param((), (), "responses", id="not tried yet"),
        pytest.param(("responses",), (), "openai", id="refused"),
        pytest.param(("responses", "openai"), (), "bot", id="refused twice"),
        pytest.param(("openai",), (), "responses", id="refused by another"),
        pytest.param((), ("responses",), "openai", id="off"),
        pytest.param(("openai",), ("responses",), "bot", id="off, and refused"),
    ],
)
def test_json_goes_on_to_the_next_interface(
    tried: tuple[str, ...], unused: tuple[str, ...], upstream: str
) -> None:
    assert route(job(JSON), LISTED, AUTO, tried, unused=unused).name == upstream


NOT_FOUND = Fault(FaultKind.MODEL_NOT_FOUND)
NO_ACCESS = Fault(FaultKind.NO_API_ACCESS)
STRICT = Fault(FaultKind.BAD_REQUEST, "verbosity: Extra inputs are not permitted")
UNSUPPORTED = Fault(FaultKind.BAD_REQUEST, "This model does not support temperature.")
WRONG = Fault(FaultKind.BAD_REQUEST, "n must be 1")


@pytest.mark.parametrize(
    ("upstream", "fault", "asked", "model", "setting", "over"),
    [
        pytest.param("openai", NOT_FOUND, job(), LISTED, AUTO, True, id="not found there"),
        pytest.param("openai", STRICT, job(), LISTED, AUTO, True, id="too strict"),
        pytest.param("openai", UNSUPPORTED, job(), LISTED, AUTO, True, id="not supported"),
        pytest.param("openai", NO_ACCESS, job(), LISTED, AUTO, True, id="no API access"),
        pytest.param("openai", WRONG, job(), LISTED, AUTO, False, id="wrong anywhere"),
        pytest.param(
            "openai", Fault(FaultKind.UPSTREAM_DOWN), job(), LISTED, AUTO, False, id="down"
        ),
        pytest.param(
            "openai", NOT_FOUND, job(REQUIRED), LISTED, AUTO, False, id="a tool must be called"
        ),
        pytest.param("openai", NOT_FOUND, job(TOOLS), LISTED, AUTO, True, id="tools may be"),
        pytest.param("openai", NOT_FOUND, job(), LISTED, OPENAI, False, id="configured"),
        pytest.param("responses", WRONG, job(JSON), LISTED, AUTO, True, id="wrong there"),
        pytest.param("responses", NOT_FOUND, job(JSON), LISTED, AUTO, True, id="not there"),
        pytest.param(
            "responses",
            Fault(FaultKind.TOO_LONG),
            job(JSON),
            LISTED,
            AUTO,
            False,
            id="too long anywhere",
        ),
        pytest.param("responses", WRONG, job(JSON), LISTED, RESPONSES, False, id="and configured"),
        pytest.param("bot", NO_ACCESS, job(), UNLISTED, AUTO, True, id="a bot without API"),
        pytest.param("bot", NOT_FOUND, job(), UNKNOWN, AUTO, False, id="no such bot"),
        pytest.param("bot", NO_ACCESS, job(), UNLISTED, BOT, False, id="bot configured"),
        pytest.param(
            "bot",
            NO_ACCESS,
            job(Options(extra={"aspect": "1:1"})),
            UNKNOWN,
            AUTO,
            False,
            id="parameters that only a bot takes",
        ),
        pytest.param(
            "bot",
            Fault(FaultKind.BAD_REQUEST, "An attachment is not supported.", sent=False),
            job(),
            UNLISTED,
            AUTO,
            False,
            id="refused by ourselves",
        ),
    ],
)
def test_the_other_interface_is_tried_only_where_it_may_help(
    upstream: str,
    fault: Fault,
    asked: Job,
    model: Model | None,
    setting: ModelSettings,
    *,
    over: bool,
) -> None:
    other = fallback(UPSTREAMS[upstream], fault, asked, model, setting)

    assert (other is not None) is over


def test_each_interface_is_tried_once() -> None:
    first = UPSTREAMS["responses"]

    second = fallback(first, NOT_FOUND, job(JSON), LISTED, AUTO)
    assert second is UPSTREAMS["openai"]
    third = fallback(second, NOT_FOUND, job(JSON), LISTED, AUTO, tried=("responses",))
    assert third is UPSTREAMS["bot"]
    none = fallback(third, NO_ACCESS, job(JSON), LISTED, AUTO, tried=("responses", "openai"))
    assert none is None


@pytest.mark.parametrize(
    ("model", "setting", "other"),
    [
        pytest.param(SPEAKS_ALL, AUTO, "openai", id="one that suits"),
        pytest.param(SPEAKS_ONE, AUTO, "openai", id="one that can"),
        pytest.param(SPEAKS_ALL, MESSAGES, None, id="configured"),
    ],
)
def test_what_one_interface_refuses_goes_to_the_one_that_suits_best(
    model: Model, setting: ModelSettings, other: str | None
) -> None:
    refusing = UPSTREAMS["messages"]

    found = fallback(refusing, UNSUPPORTED, native(), model, setting)

    assert (found.name if found else None) == other
    if found is not None:
        assert route(native(), model, setting, {"messages"}) is found


def test_no_interface_is_tried_that_cannot_be_asked_for_the_job() -> None:
    over = [fallback(each, NO_ACCESS, job(), SPEAKS_ALL, AUTO) for each in UPSTREAMS.values()]

    assert UPSTREAMS["messages"] not in over


DOWN = Fault(FaultKind.UPSTREAM_DOWN)


@pytest.mark.parametrize(
    ("upstream", "fault", "setting", "other"),
    [
        pytest.param("responses", DOWN, AUTO, "openai", id="a 500 of the Responses API"),
        pytest.param("responses", DOWN, RESPONSES, None, id="where it is configured"),
        pytest.param("responses", Fault(FaultKind.OVERLOADED), AUTO, None, id="of the model"),
        pytest.param("openai", DOWN, AUTO, None, id="a 500 elsewhere"),
    ],
)
def test_a_fault_that_may_be_the_interface_s_own_is_not_met_there_twice(
    upstream: str, fault: Fault, setting: ModelSettings, other: str | None
) -> None:
    found = instead(UPSTREAMS[upstream], fault, job(JSON), LISTED, setting)

    assert (found.name if found else None) == other


@pytest.mark.parametrize(
    ("options", "upstream", "model", "setting", "emulated"),
    [
        pytest.param(TOOLS, "bot", TOOLLESS, EMULATED, True, id="none of its own"),
        pytest.param(TOOLS, "bot", UNKNOWN, EMULATED, True, id="unknown, but configured"),
        pytest.param(TOOLS, "bot", UNLISTED, EMULATED, False, id="tools of its own"),
        pytest.param(TOOLS, "bot", UNKNOWN, AUTO, False, id="unknown"),
        pytest.param(TOOLS, "openai", LISTED, EMULATED, False, id="the other interface"),
        pytest.param(TOOLS, "bot", TOOLLESS, BOT, False, id="sent as configured"),
        pytest.param(Options(), "bot", TOOLLESS, EMULATED, False, id="no tools asked for"),
        pytest.param(
            Options(tools=(Tool("look"),), tool_choice="none"),
            "bot",
            TOOLLESS,
            AUTO,
            False,
            id="tools not to be called",
        ),
    ],
)
def test_tools_are_emulated_only_where_that_is_configured_and_needed(
    options: Options, upstream: str, model: Model | None, setting: ModelSettings, emulated: bool
) -> None:
    assert emulates_tools(job(options), UPSTREAMS[upstream], model, setting) is emulated


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_tools_for_a_model_that_has_none_are_refused_with_the_way_out(upstream: str) -> None:
    with pytest.raises(Fault, match="toolEmulation") as refused:
        emulates_tools(job(TOOLS), UPSTREAMS[upstream], TOOLLESS, AUTO)

    assert refused.value.kind is FaultKind.BAD_REQUEST
    assert not refused.value.sent
