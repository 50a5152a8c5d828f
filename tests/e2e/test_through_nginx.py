"""Clients that leave and processes that are replaced, with the real nginx before them."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from tests.support.clients import ask, counted
from tests.support.deployment import KEY, Deployment, deployment, eventually, redis_server
from tests.support.fleet import Fleet, Load

from .conftest import StartNginx

__all__ = ["deployment", "redis_server"]

pytestmark = pytest.mark.timeout(120)


async def test_who_leaves_nginx_leaves_poe_too(
    start_nginx: StartNginx, deployment: Deployment
) -> None:
    poe = await deployment.start_poe()
    await deployment.start_worker("--cool-down", "0")
    gateway = await deployment.start_gateway()
    edge = await start_nginx(gateway.port)
    headers = {"authorization": f"Bearer {KEY}"}

    async with httpx.AsyncClient(base_url=edge.url, headers=headers, trust_env=False) as http:
        asking = [
            asyncio.create_task(ask(http, "Count", "5000 every 20ms")),
            asyncio.create_task(ask(http, "Silent", "wait 60", stream=False)),
        ]
        await eventually(lambda: len(poe.record.calls) == 2, "the calls")
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await eventually(lambda: all(call.ended for call in poe.record.calls), "their ends")

    assert [call.outcome for call in poe.record.calls] == ["client_left"] * 2


async def test_a_rolling_restart_behind_nginx_loses_no_request(
    start_nginx: StartNginx, deployment: Deployment
) -> None:
    poe = await deployment.start_poe()
    fleet = Fleet(deployment)
    await fleet.start()
    edge = await start_nginx(*(gateway.port for gateway in fleet.gateways))
    load = Load([edge.url])
    loading = asyncio.create_task(load.run())

    await fleet.restart_one_by_one()
    load.stop()
    told = await loading

    assert len(told) >= 20
    whole = {(200, True, counted(10)): len(told)}
    assert Counter((one.status, one.is_whole, one.text) for one in told) == whole
    assert Counter(call.outcome for call in poe.record.calls) == {"answered": len(told)}
    assert fleet.statuses == [0] * 4


async def test_kept_responses_are_had_cancelled_and_deleted_through_nginx(
    start_nginx: StartNginx, deployment: Deployment
) -> None:
    await deployment.start_poe()
    await deployment.start_worker("--cool-down", "0")
    gateway = await deployment.start_gateway()
    edge = await start_nginx(gateway.port)
    headers = {"authorization": f"Bearer {KEY}"}
    asked = {"model": "Count", "input": "count to 5000 every 20ms", "background": True}

    async with httpx.AsyncClient(base_url=edge.url, headers=headers, trust_env=False) as http:
        path = f"/v1/responses/{(await http.post('/v1/responses', json=asked)).json()['id']}"
        async with http.stream("GET", f"{path}?stream=true") as stream:
            lines = stream.aiter_lines()
            while "output_text.delta" not in await anext(lines):
                pass
            cancelled = await http.post(f"{path}/cancel")
            rest = [line async for line in lines]
        listed = await http.get(f"{path}/input_items")
        deleted = await http.delete(path)
        gone = await http.get(path)

    assert cancelled.json()["status"] == "cancelled"
    assert "event: response.failed" in rest
    assert len(listed.json()["data"]) == 1
    assert deleted.json()["deleted"] is True
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "response_not_found")
