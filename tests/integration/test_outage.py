"""A worker that must stop while Redis is gone stops all the same."""

from __future__ import annotations

import asyncio
import signal

from runtime.signals import ECHO
from tests.support.deployment import Deployment, eventually

BODY = {
    "model": "Count",
    "stream": True,
    "messages": [{"role": "user", "content": "count to 1000 every 50ms"}],
}


async def test_a_worker_without_redis_can_be_stopped(deployment: Deployment) -> None:
    poe = await deployment.start_poe()
    worker = await deployment.start_worker("--cool-down", "0")
    gateway = await deployment.start_gateway()
    async with gateway.http() as http:
        asking = asyncio.create_task(http.post("/v1/chat/completions", json=BODY))
        await eventually(lambda: poe.record.calls, "the call")

        assert deployment.redis.child is not None
        await deployment.redis.child.stop(signal.SIGKILL)
        worker.send(signal.SIGTERM)
        await eventually(lambda: "draining" in worker.output(), "the drain")
        # A second signal means "now" only when it is no echo of the first.
        await asyncio.sleep(ECHO)
        status = await worker.stop()
        asking.cancel()

    assert status == 0
    assert poe.record.calls[0].outcome == "client_left"
    assert "Traceback" not in worker.output()
