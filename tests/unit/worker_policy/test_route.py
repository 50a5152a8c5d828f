"""Which of Poe's interfaces a job goes to."""

from __future__ import annotations

from typing import Any

import pytest

from contract.config import ModelSettings
from contract.messages import Job, MediaPart, Message, Model, Options, TextPart, Tool
from worker.poe.faults import Fault, FaultKind
from worker.policy.route import Kind, emulates_tools, fails_over, route

CHAT = ("/v1/responses", "/v1/chat/completions")
PLAIN = Options()
TOOLS = Options(tools=(Tool("look"),))
REQUIRED = Options(tools=(Tool("look"),), tool_choice="required")

UNKNOWN = None
LISTED = Model("m", 0, "", output_modalities=("text",), endpoints=CHAT, features=("tools",))
TOOLLESS = Model("m", 0, "", output_modalities=("text",), endpoints=CHAT)
UNLISTED = Model("m", 0, "", output_modalities=("text",), features=("tools",))
PAINTER = Model("m", 0, "", output_modalities=("text", "image"), endpoints=CHAT)

AUTO, BOT, OPENAI = (ModelSettings(protocol=p) for p in ("auto", "bot", "openai"))
EMULATED = ModelSettings(tool_emulation=True)


def job(options: Options = PLAIN, *media: MediaPart, stream: bool = False) -> Job:
    content: Any = (TextPart("Hi"), *media) if media else "Hi"
    return Job("j", "c", "m", (Message("user", content),), options, stream=stream)


def media(kind: Any, url: str) -> MediaPart:
    return MediaPart(kind, url)


@pytest.mark.parametrize(
    ("asked", "model", "setting", "kind"),
    [
        pytest.param(job(), LISTED, AUTO, Kind.OPENAI, id="a listed model"),
        pytest.param(job(TOOLS), LISTED, AUTO, Kind.OPENAI, id="tools"),
        pytest.param(job(stream=True), LISTED, AUTO, Kind.OPENAI, id="a stream"),
        pytest.param(job(), UNKNOWN, AUTO, Kind.BOT, id="an unknown model"),
        pytest.param(job(), UNLISTED, AUTO, Kind.BOT, id="a model without endpoints"),
        pytest.param(job(TOOLS), UNLISTED, AUTO, Kind.BOT, id="tools without endpoints"),
        pytest.param(job(stream=True), PAINTER, AUTO, Kind.BOT, id="pictures, streamed"),
        pytest.param(job(), PAINTER, AUTO, Kind.OPENAI, id="pictures, whole"),
        pytest.param(job(TOOLS), TOOLLESS, EMULATED, Kind.BOT, id="tools to be emulated"),
        pytest.param(job(), TOOLLESS, EMULATED, Kind.OPENAI, id="no tools to be emulated"),
        pytest.param(job(TOOLS), LISTED, EMULATED, Kind.OPENAI, id="tools of its own"),
        pytest.param(
            job(Options(), media("file", "https://x/a.pdf")),
            LISTED,
            AUTO,
            Kind.BOT,
            id="a file by its address",
        ),
        pytest.param(
            job(Options(), media("file", "DATA:application/pdf;base64,aa")),
            LISTED,
            AUTO,
            Kind.OPENAI,
            id="a file in the request",
        ),
        pytest.param(
            job(Options(), media("image", "https://x/a.png")),
            LISTED,
            AUTO,
            Kind.OPENAI,
            id="an image by its address",
        ),
        pytest.param(job(), LISTED, BOT, Kind.BOT, id="the bot protocol by configuration"),
        pytest.param(job(), UNKNOWN, OPENAI, Kind.OPENAI, id="the other by configuration"),
    ],
)
def test_a_job_goes_to_the_interface_that_suits_it(
    asked: Job, model: Model | None, setting: ModelSettings, kind: Kind
) -> None:
    assert route(asked, model, setting) is kind


NOT_FOUND = Fault(FaultKind.MODEL_NOT_FOUND)
NO_ACCESS = Fault(FaultKind.NO_API_ACCESS)
STRICT = Fault(FaultKind.BAD_REQUEST, "verbosity: Extra inputs are not permitted")
UNSUPPORTED = Fault(FaultKind.BAD_REQUEST, "This model does not support temperature.")
WRONG = Fault(FaultKind.BAD_REQUEST, "n must be 1")


@pytest.mark.parametrize(
    ("kind", "fault", "asked", "model", "setting", "over"),
    [
        pytest.param(Kind.OPENAI, NOT_FOUND, job(), LISTED, AUTO, True, id="not found there"),
        pytest.param(Kind.OPENAI, STRICT, job(), LISTED, AUTO, True, id="too strict"),
        pytest.param(Kind.OPENAI, UNSUPPORTED, job(), LISTED, AUTO, True, id="not supported"),
        pytest.param(Kind.OPENAI, NO_ACCESS, job(), LISTED, AUTO, True, id="no API access"),
        pytest.param(Kind.OPENAI, WRONG, job(), LISTED, AUTO, False, id="wrong anywhere"),
        pytest.param(
            Kind.OPENAI, Fault(FaultKind.UPSTREAM_DOWN), job(), LISTED, AUTO, False, id="down"
        ),
        pytest.param(
            Kind.OPENAI, NOT_FOUND, job(REQUIRED), LISTED, AUTO, False, id="a tool must be called"
        ),
        pytest.param(Kind.OPENAI, NOT_FOUND, job(TOOLS), LISTED, AUTO, True, id="tools may be"),
        pytest.param(Kind.OPENAI, NOT_FOUND, job(), LISTED, OPENAI, False, id="configured"),
        pytest.param(Kind.BOT, NO_ACCESS, job(), UNLISTED, AUTO, True, id="a bot without API"),
        pytest.param(Kind.BOT, NOT_FOUND, job(), UNKNOWN, AUTO, False, id="no such bot"),
        pytest.param(Kind.BOT, NO_ACCESS, job(), UNLISTED, BOT, False, id="bot configured"),
        pytest.param(
            Kind.BOT,
            NO_ACCESS,
            job(Options(extra={"aspect": "1:1"})),
            UNKNOWN,
            AUTO,
            False,
            id="parameters that only a bot takes",
        ),
        pytest.param(
            Kind.BOT,
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
    kind: Kind, fault: Fault, asked: Job, model: Model | None, setting: ModelSettings, *, over: bool
) -> None:
    assert fails_over(kind, fault, asked, model, setting) is over


@pytest.mark.parametrize(
    ("options", "kind", "model", "setting", "emulated"),
    [
        pytest.param(TOOLS, Kind.BOT, TOOLLESS, EMULATED, True, id="none of its own"),
        pytest.param(TOOLS, Kind.BOT, UNKNOWN, EMULATED, True, id="unknown, but configured"),
        pytest.param(TOOLS, Kind.BOT, UNLISTED, EMULATED, False, id="tools of its own"),
        pytest.param(TOOLS, Kind.BOT, UNKNOWN, AUTO, False, id="unknown"),
        pytest.param(TOOLS, Kind.OPENAI, LISTED, EMULATED, False, id="the other interface"),
        pytest.param(TOOLS, Kind.BOT, TOOLLESS, BOT, False, id="sent as configured"),
        pytest.param(Options(), Kind.BOT, TOOLLESS, EMULATED, False, id="no tools asked for"),
        pytest.param(
            Options(tools=(Tool("look"),), tool_choice="none"),
            Kind.BOT,
            TOOLLESS,
            AUTO,
            False,
            id="tools not to be called",
        ),
    ],
)
def test_tools_are_emulated_only_where_that_is_configured_and_needed(
    options: Options, kind: Kind, model: Model | None, setting: ModelSettings, emulated: bool
) -> None:
    assert emulates_tools(job(options), kind, model, setting) is emulated


@pytest.mark.parametrize("kind", Kind)
def test_tools_for_a_model_that_has_none_are_refused_with_the_way_out(kind: Kind) -> None:
    with pytest.raises(Fault, match="toolEmulation") as refused:
        emulates_tools(job(TOOLS), kind, TOOLLESS, AUTO)

    assert refused.value.kind is FaultKind.BAD_REQUEST
    assert not refused.value.sent
