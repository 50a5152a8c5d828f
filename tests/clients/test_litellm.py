"""LiteLLM, through which aider and many agents ask: answers, tools, and its classes of errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

# Or it fetches a list of prices from the web when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
pytest.importorskip("litellm", reason="LiteLLM is installed by `make clients`")

import litellm
from litellm.exceptions import MidStreamFallbackError
from pydantic import BaseModel

from tests.clients.service import Service

# LiteLLM's models of answers warn of themselves when they are written out.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOOK: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}


class Answer(BaseModel):
    answer: str


@pytest.fixture
def asking(service: Service) -> Callable[..., dict[str, Any]]:
    """The arguments of a request for a bot."""

    def arguments(bot: str, text: str, **more: Any) -> dict[str, Any]:
        return {
            "model": f"openai/{bot}",
            "api_base": service.base_url,
            "api_key": service.key,
            "messages": [{"role": "user", "content": text}],
            "num_retries": 0,
            **more,
        }

    return arguments


def test_an_answer_comes_whole(asking: Callable[..., dict[str, Any]]) -> None:
    answer = litellm.completion(**asking("Echo", "hello"))

    assert answer.choices[0].message.content == "hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens > 0


async def test_an_answer_comes_whole_when_awaited(asking: Callable[..., dict[str, Any]]) -> None:
    answer = await litellm.acompletion(**asking("Reason", "why?"))

    assert answer.choices[0].message.content == "The answer to: why?"
    assert "why?" in answer.choices[0].message.reasoning_content


def test_an_answer_is_streamed_with_its_usage(asking: Callable[..., dict[str, Any]]) -> None:
    stream = litellm.completion(
        **asking("Count", "count to 9", stream=True, stream_options={"include_usage": True})
    )
    chunks = list(stream)

    rebuilt = litellm.stream_chunk_builder(chunks)
    assert rebuilt.choices[0].message.content == "1 2 3 4 5 6 7 8 9"
    assert rebuilt.choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 9


async def test_an_answer_is_streamed_when_awaited(asking: Callable[..., dict[str, Any]]) -> None:
    stream = await litellm.acompletion(**asking("Count", "count to 9", stream=True))
    told = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(told) == "1 2 3 4 5 6 7 8 9"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_used(
    asking: Callable[..., dict[str, Any]], stream: bool
) -> None:
    asked = asking("Tool", 'call look {"at": "A"} call look {"at": "B"}', tools=[LOOK])
    if stream:
        chunks = list(litellm.completion(**asked, stream=True))
        choice = litellm.stream_chunk_builder(chunks, messages=asked["messages"]).choices[0]
    else:
        choice = litellm.completion(**asked).choices[0]
    calls = choice.message.tool_calls

    assert choice.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["at"] for call in calls] == ["A", "B"]

    results = [{"role": "tool", "tool_call_id": call.id, "content": "seen"} for call in calls]
    asked["messages"] = [*asked["messages"], choice.message.model_dump(), *results]
    told = litellm.completion(**asked)
    assert told.choices[0].message.content == "look says: seen\nlook says: seen"


def test_a_structured_answer_is_parsed(asking: Callable[..., dict[str, Any]]) -> None:
    answer = litellm.completion(**asking("Json", "hello", response_format=Answer))

    assert Answer.model_validate_json(answer.choices[0].message.content)


@pytest.mark.parametrize(
    ("bot", "more", "error"),
    [
        pytest.param("Nobody", {}, litellm.NotFoundError, id="unknown model"),
        pytest.param("Echo", {"api_key": "sk-wrong"}, litellm.AuthenticationError, id="key"),
        pytest.param("Echo", {"temperature": 9}, litellm.BadRequestError, id="bad request"),
        # Of a 403, LiteLLM keeps no more than the status.
        pytest.param("Fail-403", {}, litellm.APIError, id="forbidden"),
        pytest.param("Fail-413", {}, litellm.ContextWindowExceededError, id="too long"),
        pytest.param("Fail-502", {}, litellm.BadGatewayError, id="upstream"),
    ],
)
def test_errors_are_of_the_class_that_they_mean(
    asking: Callable[..., dict[str, Any]],
    bot: str,
    more: dict[str, Any],
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        litellm.completion(**asking(bot, "hello") | more)


def test_a_late_failure_is_raised(asking: Callable[..., dict[str, Any]]) -> None:
    steps = [
        {"event": "text", "data": {"text": "It begins well, "}},
        {"sleep": 0.5},
        {"event": "error", "data": {"text": "Internal server error"}},
    ]
    stream = litellm.completion(**asking("Script", json.dumps(steps), stream=True))

    with pytest.raises(MidStreamFallbackError, match="The upstream failed to answer"):
        list(stream)
