"""The points history that a simulated Poe keeps."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulated_poe import Model, Settings, SimulatedPoe
from simulated_poe.charges import Charge
from simulated_poe.history import Row

TOKENS = re.compile(r"(-?\d+) points \((\d+) tokens\)")


@pytest.fixture
async def poe() -> AsyncIterator[SimulatedPoe]:
    async with SimulatedPoe() as running:
        yield running


async def post(
    poe: SimulatedPoe, path: str, body: dict[str, Any], key: str = "sim-a"
) -> httpx.Response:
    async with httpx.AsyncClient(base_url=poe.url) as client:
        headers = {"Authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
        return await client.post(path, json=body, headers=headers)


async def bot(poe: SimulatedPoe, name: str, text: str = "hi", key: str = "sim-a") -> httpx.Response:
    query = [{"role": "user", "content": text}]
    return await post(poe, f"/bot/{name}", {"version": "1.2", "type": "query", "query": query}, key)


async def history(poe: SimulatedPoe, key: str = "sim-a", **query: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=poe.url) as client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await client.get("/usage/points_history", params=query, headers=headers)


async def rows(poe: SimulatedPoe, **query: Any) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = (await history(poe, **query)).json()["data"]
    return page


async def balance(poe: SimulatedPoe) -> int:
    async with httpx.AsyncClient(base_url=poe.url) as client:
        headers = {"Authorization": "Bearer sim-a"}
        answer = await client.get("/usage/current_balance", headers=headers)
    points: int = answer.json()["current_point_balance"]
    return points


async def test_a_row_says_what_a_call_has_cost(poe: SimulatedPoe) -> None:
    began = time.time()

    await bot(poe, "claude-sonnet-4.6", "one two three")

    (row,) = await rows(poe)
    assert began * 1e6 - 1 <= row["creation_time"] <= time.time() * 1e6
    assert row["bot_name"] == "Claude-Sonnet-4.6"
    assert row["usage_type"] == "API"
    assert row["query_id"]
    assert row["api_key_name"].startswith("key ")
    # 6 × 0.0000025758 USD × 33,000 = 0.51 points.
    assert row["cost_points"] == 1
    assert row["cost_usd"] == "0.000030"
    assert row["cost_breakdown_in_points"] == {
        "Input": "0 points (3 tokens)",
        "Output": "0 points (3 tokens)",
        "Total": "1 points",
    }


async def test_the_balance_falls_by_what_the_rows_say(poe: SimulatedPoe) -> None:
    before = await balance(poe)

    for name in ("Echo", "GPT-4o", "Fail-500", "Nobody", "Fail-late"):
        await bot(poe, name)

    charged = await rows(poe)
    # What is refused costs nothing; what fails amid the answer does.
    assert [row["bot_name"] for row in charged] == ["Fail-late", "GPT-4o", "Echo"]
    assert before - await balance(poe) == sum(row["cost_points"] for row in charged) == 12
    assert poe.record.shown()["accounts"][poe.history.asked[0]]["spent"] == 12


async def test_a_request_price_is_flat(poe: SimulatedPoe) -> None:
    poe.catalogue.add(Model("Flat", "long", request_price="0.0039"))

    await bot(poe, "Flat", "30 words")

    (row,) = await rows(poe)
    assert row["cost_points"] == 129
    assert row["cost_breakdown_in_points"] == {"Total": "129 points"}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_tokens_are_those_of_the_answer_s_usage(
    poe: SimulatedPoe, path: str, stream: bool
) -> None:
    poe.catalogue.add(
        Model(
            "Dear",
            "long",
            endpoints=("/v1/responses", "/v1/chat/completions", "/v1/messages"),
            price="0.001",
            completion_price="0.002",
        )
    )
    messages = [{"role": "user", "content": "12 words seed 3"}]
    body: dict[str, Any] = {"model": "Dear", "messages": messages, "stream": stream}
    if path == "/v1/responses":
        body = {"model": "Dear", "input": "12 words seed 3", "stream": stream}
    if path == "/v1/messages":
        body["max_tokens"] = 1000
    if path == "/v1/chat/completions" and stream:
        body["stream_options"] = {"include_usage": True}

    answer = await post(poe, path, body)

    (row,) = await rows(poe)
    breakdown = row["cost_breakdown_in_points"]
    told = [int(n) for n in re.findall(r'_tokens":(\d+)', answer.text)]
    (spent, put_in), (more, put_out) = (
        map(int, TOKENS.fullmatch(breakdown[name]).groups())  # type: ignore[union-attr]
        for name in ("Input", "Output")
    )
    assert {put_in, put_out} <= set(told)
    assert (spent, more) == (33 * put_in, 66 * put_out)
    assert row["cost_points"] == spent + more


async def test_a_client_that_leaves_pays_for_what_it_got(poe: SimulatedPoe) -> None:
    poe.catalogue.add(Model("Dear", "count", price="0.001"))
    query = [{"role": "user", "content": "count to 1000 every 20ms"}]
    body = {"version": "1.2", "type": "query", "query": query}
    async with httpx.AsyncClient(base_url=poe.url) as client:
        headers = {"Authorization": "Bearer sim-a"}
        async with client.stream("POST", "/bot/Dear", json=body, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event: text"):
                    break
    while poe.record.calls[-1].ended is None:  # noqa: ASYNC110  # the record knows no asyncio
        await asyncio.sleep(0.001)

    (row,) = await rows(poe)
    assert 33 * 6 <= row["cost_points"] < 33 * 1000


async def test_what_is_read_from_a_cache_is_discounted(poe: SimulatedPoe) -> None:
    poe.catalogue.add(
        Model(
            "Cached",
            "echo",
            endpoints=("/v1/messages",),
            price="0.001",
            cache_read_price="0.0001",
            cache_write_price="0.002",
        )
    )
    marked = {"type": "text", "text": "one two", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "user", "content": [marked]}]
    for _ in range(2):
        await post(
            poe, "/v1/messages", {"model": "Cached", "messages": messages, "max_tokens": 100}
        )

    second, first = (row["cost_breakdown_in_points"] for row in await rows(poe))
    assert "Cache write" in first
    assert "Cache discount" not in first
    assert second["Cache discount"].startswith("-")


async def test_pages_go_back_from_the_newest(poe: SimulatedPoe) -> None:
    for name in ("Echo", "Count", "Long", "Reason", "Think"):
        await bot(poe, name, "3")

    first = (await history(poe, limit=2)).json()
    after = first["data"][-1]["query_id"]
    second = (await history(poe, limit=2, starting_after=after)).json()
    after = second["data"][-1]["query_id"]
    third = (await history(poe, limit=2, starting_after=after)).json()

    pages = [first, second, third]
    names = [[row["bot_name"] for row in page["data"]] for page in pages]
    assert names == [["Think", "Reason"], ["Long", "Count"], ["Echo"]]
    assert [page["has_more"] for page in pages] == [True, True, False]
    assert [page["length"] for page in pages] == [2, 2, 1]


async def test_accounts_have_histories_of_their_own(poe: SimulatedPoe) -> None:
    await bot(poe, "Echo", key="sim-a")

    assert len((await history(poe, "sim-a")).json()["data"]) == 1
    assert (await history(poe, "sim-b")).json() == {"has_more": False, "length": 0, "data": []}


@pytest.mark.parametrize(
    ("key", "query", "status"),
    [
        ("sim-bad", {}, 401),
        ("", {}, 401),
        ("sim-a", {"limit": 0}, 400),
        ("sim-a", {"limit": 101}, 400),
        ("sim-a", {"limit": "many"}, 400),
        ("sim-a", {"starting_after": "nobody"}, 400),
    ],
)
async def test_what_is_wrong_is_refused(
    poe: SimulatedPoe, key: str, query: dict[str, Any], status: int
) -> None:
    refused = await history(poe, key, **query)

    assert refused.status_code == status
    if status == 401:
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")


async def test_a_test_can_have_it_misbehave(poe: SimulatedPoe) -> None:
    await bot(poe, "Echo")
    await bot(poe, "Count")
    poe.history.delay = 60
    await bot(poe, "Long")
    poe.history.breakdown = False
    poe.history.statuses = [429, 500]
    (account,) = poe.record.accounts.values()
    account.charge(Row(time.time(), "Other", Charge(5, {}), usage_type="Chat"))

    assert (await history(poe)).status_code == 429
    assert (await history(poe)).status_code == 500
    shown = await rows(poe)
    assert [row["bot_name"] for row in shown] == ["Other", "Count", "Echo"]
    assert shown[0]["usage_type"] == "Chat"
    assert {row["cost_breakdown_in_points"] for row in shown} == {None}

    poe.history.repeats = True
    again = await rows(poe, starting_after=shown[1]["query_id"])
    assert [row["bot_name"] for row in again] == ["Count", "Echo"]


@pytest.mark.parametrize(("rounding", "points"), [("up", 9), ("nearest", 8), ("down", 8)])
async def test_how_costs_are_rounded_can_be_set(rounding: Any, points: int) -> None:
    async with SimulatedPoe(Settings(rounding=rounding, history_time="end")) as poe:
        poe.catalogue.add(Model("Dear", "echo", price="0.000125"))

        await bot(poe, "Dear")

        # 2 × 0.000125 USD × 33,000 = 8.25 points.
        assert [row["cost_points"] for row in await rows(poe)] == [points]
