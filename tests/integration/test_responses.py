"""The Responses API when something dies."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from tests.support.deployment import Deployment, running_redis
from tests.support.responses_wire import check, events_of

SLOW = {"model": "Count", "input": "count to 500 every 50ms", "stream": True}


@pytest_asyncio.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with running_redis() as redis:
        running = Deployment(tmp_path, redis)
        try:
            await running.start_poe()
            yield running
        finally:
            await running.close()


async def test_a_stream_whose_worker_is_killed_ends_in_a_failed_response(
    deployment: Deployment,
) -> None:
    worker = await deployment.start_worker()
    gateway = await deployment.start_gateway(config="allowAnyBot = true")
    had = ""

    async with gateway.http() as http, http.stream("POST", "/v1/responses", json=SLOW) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            had += piece
            if "output_text.delta" in had and worker.process.returncode is None:
                await worker.stop(signal.SIGKILL)
                # It finds the job that nobody works at.
                await deployment.start_worker(tokens="sim-two")

    response = check(events_of(had))
    assert response["status"] == "failed"
    assert response["error"]["code"] == "server_error"
    (message,) = response["output"]
    assert message["status"] == "incomplete"
    assert message["content"][0]["text"]


async def test_a_stream_whose_gateway_is_killed_is_resumed_at_another(
    deployment: Deployment,
) -> None:
    await deployment.start_worker()
    first = await deployment.start_gateway(config="allowAnyBot = true")
    second = await deployment.start_gateway(config="allowAnyBot = true")
    asked = SLOW | {"input": "count to 40 every 50ms"}
    key = {"idempotency-key": "killed"}
    had = ""

    async with first.http() as http:
        try:
            async with http.stream("POST", "/v1/responses", json=asked, headers=key) as answer:
                async for piece in answer.aiter_text():
                    had += piece
                    if had.count("output_text.delta") > 4:
                        first.child.send(signal.SIGKILL)
                        break
        except httpx.TransportError:
            pass
    seen = events_of(had[: had.rindex("\n\n") + 2])
    last = {"last-event-id": seen[-1]["event_id"]}
    async with second.http() as http:
        rest = await http.post("/v1/responses", json=asked, headers=key | last)
    told = "".join(line for line in rest.text.splitlines(True) if not line.startswith("id: "))

    response = check([*seen, *events_of(told)])
    assert response["status"] == "completed"
    assert deployment.poe is not None
    assert len(deployment.poe.record.calls) == 1
