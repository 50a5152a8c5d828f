"""OpenAI's Agents SDK, by the Responses API: tools over several rounds, and a handoff."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("agents", reason="the Agents SDK is installed by `make clients`")

from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from tests.clients.service import Service


@function_tool
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sun in {city}"


@pytest_asyncio.fixture
async def client(service: Service) -> AsyncIterator[AsyncOpenAI]:
    set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=service.base_url, api_key=service.key) as openai:
        yield openai


async def _run(agent: Agent[Any], question: str, *, streamed: bool) -> Any:
    if not streamed:
        return await Runner.run(agent, question)
    result = Runner.run_streamed(agent, question)
    async for _ in result.stream_events():
        pass
    return result


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_calls_its_tools_round_by_round(client: AsyncOpenAI, streamed: bool) -> None:
    model = OpenAIResponsesModel("Agent", client)
    agent = Agent(name="Reporter", instructions="Report.", model=model, tools=[weather])
    question = 'call weather {"city": "Paris"}\ncall weather {"city": "Rome"}'

    result = await _run(agent, question, streamed=streamed)

    assert result.final_output == "All steps are done: 2. The last one gave: sun in Rome"
    assert len(result.raw_responses) == 3
    assert all(response.usage.total_tokens for response in result.raw_responses)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_hands_off_to_another(client: AsyncOpenAI, streamed: bool) -> None:
    model = OpenAIResponsesModel("Tool", client)
    reporter = Agent(name="Reporter", instructions="Report.", model=model, tools=[weather])
    clerk = Agent(name="Clerk", instructions="Pass on.", model=model, handoffs=[reporter])

    result = await _run(clerk, "call transfer_to_reporter", streamed=streamed)

    assert result.last_agent is reporter
    assert "Reporter" in result.final_output
