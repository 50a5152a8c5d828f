"""The screens *now*, *usage* and *try*, over HTTP and in a browser, beside a real deployment."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from admin.own_key import NAME
from contract.ledger import Request
from tests.support.admin_page import LOGIN, AdminPage, Operator, admin_page
from tests.support.browser import CHROMIUM, Tab, browser
from tests.support.deployment import (
    KEY,
    Deployment,
    Gateway,
    eventually,
    free_port,
    running_redis,
    spawn,
)
from tests.support.keys import keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "\"'><script>alert(1)</script>"

ENDLESS = {"model": "Count", "prompt": "Count to 500, one every 50 ms."}
"""A question whose answer takes longer than a test."""

BEFORE = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1.5)
"""An instant on a day before those on which the tests ask."""

PERIOD = f"from={BEFORE:%Y-%m-%d}&to={BEFORE:%Y-%m-%d}"

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@dataclass
class Place:
    deployment: Deployment
    gateway: Gateway
    admin: AdminPage
    operator: Operator
    redis: Redis

    async def ask(self, **question: Any) -> list[dict[str, Any]]:
        """Ask a model as the page does, and return what it is told."""
        async with self.asking(**question) as answer:
            return [json.loads(line) async for line in answer.aiter_lines()]

    @asynccontextmanager
    async def asking(self, **question: Any) -> AsyncIterator[httpx.Response]:
        page = await self.operator.page("/try")
        headers = {"X-CSRF": csrf_of(page)}
        body = {"model": "Echo", "prompt": "Hello", **question}
        async with self.operator.http.stream(
            "POST", "/try/ask", json=body, headers=headers
        ) as answer:
            yield answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory = tmp_path_factory.mktemp("screens")
    async with running_redis() as server:
        deployment = Deployment(directory, server)
        redis = Redis.from_url(server.url, protocol=2)
        try:
            await deployment.start_poe()
            await deployment.start_worker(config="coolDown = 0\n", tokens="sim-one")
            port = free_port()
            starting = asyncio.create_task(deployment.start_gateway(port=port))
            config = f'gatewayUrl = "http://127.0.0.1:{port}"\n'
            async with (
                admin_page(tmp_path_factory.mktemp("admin"), server.url, config) as admin,
                admin.operator() as operator,
            ):
                yield Place(deployment, await starting, admin, operator, redis)
        finally:
            await redis.aclose()
            await deployment.close()


def csrf_of(page: str) -> str:
    found = re.search(r'<meta name="csrf" content="([^"]+)"', page)
    assert found
    return found[1]


async def first_words(answer: httpx.Response) -> AsyncIterator[str]:
    """Wait until an answer has begun, and return its other lines.

    They must be held for as long as it is to go on: httpx hangs up when nobody has them any longer.
    """
    lines = answer.aiter_lines()
    while json.loads(await anext(lines))["kind"] != "text":
        pass
    return lines


def kinds(told: list[dict[str, Any]]) -> set[str]:
    return {each["kind"] for each in told}


def only(told: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in told if each["kind"] == kind]
    return found


async def write(place: Place, *records: Request) -> None:
    for record in records:
        await place.redis.xadd(keys.ledger, {"r": msgspec.msgpack.encode(record)})


# A place to try a model


async def test_a_model_is_tried_with_the_pages_own_key(place: Place) -> None:
    told = await place.ask(own=True, model="Echo", prompt="Good morning")

    text = "".join(each["text"] for each in told if each["kind"] == "text")
    cost = only(told, "cost")
    shown = await place.operator.page("/keys")
    assert text == "Good morning"
    assert only(told, "end")["reason"] == "stop"
    assert only(told, "tokens")["prompt"] > 0
    assert cost["outcome"] == "finished"
    assert cost["account"]
    assert {"error"} & kinds(told) == set()
    assert NAME in shown


async def test_the_next_question_finds_the_key_made(place: Place) -> None:
    for _ in range(2):
        assert "error" not in kinds(await place.ask(own=True))

    listed = await place.operator.page("/keys")
    assert listed.count(f">{NAME}<") == 1


async def test_a_key_that_is_typed_in_is_used_and_kept_nowhere(place: Place) -> None:
    told = await place.ask(secret=KEY, model="Reason", prompt="Why?")

    stored = [
        value
        for key in await place.redis.keys("*")
        for value in [await place.redis.dump(key)]
        if value and KEY.encode() in value
    ]
    assert {"thought", "text", "end", "tokens"} <= kinds(told)
    assert stored == []
    assert KEY not in place.admin.child.output()
    assert KEY not in await place.operator.page("/try")


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [
        ({"secret": "sk-nobody"}, 401, "invalid_api_key"),
        ({"secret": KEY, "model": "Nothing-Of-The-Kind"}, 404, "model_not_found"),
        ({"secret": KEY, "model": "Fail-402"}, 402, "insufficient_quota"),
    ],
)
async def test_a_refusal_is_told_as_the_gateway_says_it(
    place: Place, question: dict[str, Any], status: int, code: str
) -> None:
    told = await place.ask(**question)

    error = only(told, "error")
    assert (error["status"], error["code"]) == (status, code)
    assert error["message"]
    assert "text" not in kinds(told)


async def test_an_answer_that_breaks_off_ends_with_an_error(place: Place) -> None:
    told = await place.ask(secret=KEY, model="Fail-late")

    assert only(told, "error")["code"] == "upstream_failed"
    assert "end" not in kinds(told)


async def test_stopping_cancels_the_answer_at_poe(place: Place) -> None:
    poe = place.deployment.poe
    assert poe

    async with place.asking(secret=KEY, **ENDLESS) as answer:
        lines = await first_words(answer)
        call = poe.record.calls[-1]
        assert call.outcome == "running"
        assert await anext(lines)

    await eventually(lambda: call.outcome == "client_left", "the end of the call to Poe")


async def test_a_question_that_no_page_of_ours_asks_is_refused(place: Place) -> None:
    answer = await place.operator.http.post("/try/ask", json={"model": "Echo", "prompt": "p"})

    assert answer.status_code == 403


async def test_a_broken_question_is_refused(place: Place) -> None:
    async with place.asking(prompt="") as answer:
        assert answer.status_code == 400


# Usage


async def test_usage_is_that_of_the_command(place: Place) -> None:
    await place.ask(own=True, prompt="One for the ledger")
    await write(
        place,
        Request(
            job="x",
            client="c1",
            name=HOSTILE,
            group=HOSTILE,
            model="=1+1",
            asked=int(BEFORE.timestamp() * 1000),
        ),
        Request(
            job="y",
            client="c2",
            name="",
            model="m",
            settled=70,
            asked=int(BEFORE.timestamp() * 1000),
            duration=9,
        ),
    )

    page = await place.operator.http.get(f"/usage.csv?{PERIOD}")
    everything = await place.operator.http.get(f"/usage.csv?from={BEFORE:%Y-%m-%d}")

    assert page.headers["content-type"] == "text/csv; charset=utf-8"
    assert page.headers["content-disposition"] == (
        f'attachment; filename="usage-{BEFORE:%Y-%m-%d}-{BEFORE:%Y-%m-%d}.csv"'
    )
    assert everything.text == await command(place)
    assert "'=1+1" in page.text
    assert len(everything.text.splitlines()) > len(page.text.splitlines()) == 3


async def command(place: Place) -> str:
    child = await spawn(
        place.deployment.directory / "usage.log",
        *(sys.executable, "-m", "poe2gpt", "usage", "--by", "day,key,group,model", "--csv"),
        env={"REDIS_URL": place.deployment.redis.url},
    )
    assert await child.process.wait() == 0, child.output()
    return child.output()


async def test_usage_shows_names_as_text(place: Place) -> None:
    await write(
        place,
        Request(
            job="z", client="c1", name=HOSTILE, group=HOSTILE, asked=int(BEFORE.timestamp() * 1000)
        ),
    )

    for query in ("by=key", "by=group", "show=requests", "key=c1", f"model={HOSTILE}"):
        answer = await place.operator.http.get(f"/usage?{PERIOD}&{query}")

        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "style=" not in answer.text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("from=2020-01-01&to=2020-01-31", 200, "There were no requests in this period."),
        ("from=tomorrow", 400, "This is not a date"),
        ("zone=Mars", 400, "This is not a time zone"),
        ("language=zh&from=2020-01-01&to=2020-01-31", 200, "该时间段内没有请求。"),
    ],
)
async def test_usage_says_what_is_wrong_and_that_there_is_nothing(
    place: Place, query: str, status: int, said: str
) -> None:
    async with place.admin.operator() as operator:
        answer = await operator.http.get(f"/usage?{query}")

    assert answer.status_code == status
    assert said in answer.text


# Now


async def test_now_shows_who_asks_and_what_runs(place: Place) -> None:
    made = await place.operator.http.post(
        "/api/keys",
        json={"name": HOSTILE, "group": HOSTILE},
        headers={"Authorization": f"Bearer {LOGIN}"},
    )
    async with place.asking(secret=made.json()["secret"], **ENDLESS) as answer:
        lines = await first_words(answer)

        async def page_with_answer() -> str:
            # What others looked at within the last second is shown again.
            page = await place.operator.page("/now")
            return page if "answering" in page else ""

        page = await eventually(page_with_answer, "the answer on the page")
        parts = await place.operator.page("/now/parts")
        assert await anext(lines)

    assert page.startswith("<!doctype html>")
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "<html" not in parts
    for shown in (page, parts):
        queue, answers = shown.split('id="queue"')[1].split('id="answers"')
        assert HOSTILE in unescape(queue)
        assert HOSTILE in unescape(answers)
        assert "answering" in answers
        assert "<script>alert" not in shown
        assert "No worker is alive" not in shown


# In a browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(place: Place) -> AsyncIterator[Tab]:
    async with browser() as tab:
        await tab.open(f"{place.admin.url}/login")
        await tab.evaluate(f"document.querySelector('[name=token]').value = '{LOGIN}'")
        await tab.submit("main form")
        yield tab


async def until(tab: Tab, script: str) -> Any:
    return await eventually(lambda: tab.evaluate(script), script)


@needs_browser
async def test_now_is_kept_up_to_date_under_a_readers_hands(place: Place, tab: Tab) -> None:
    await tab.open(f"{place.admin.url}/now")
    await tab.evaluate("document.querySelector('.numbers').open = true")
    await tab.evaluate("getSelection().selectAllChildren(document.querySelector('#workers'))")
    await tab.evaluate("document.querySelector('.numbers summary').focus()")
    await tab.evaluate("scrollTo(0, 200)")
    before = await tab.evaluate("document.querySelector('#live > p').textContent")

    await until(
        tab,
        # What brings it to the foreground makes it look at once.
        "document.dispatchEvent(new Event('visibilitychange')),"
        f" document.querySelector('#live > p').textContent !== {before!r}",
    )

    assert await tab.evaluate("document.querySelector('.numbers').open")
    assert await tab.evaluate("getSelection().toString()") == "Workers"
    assert await tab.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert await tab.evaluate("scrollY") == 200
    assert tab.complaints == []


@needs_browser
async def test_now_stands_still_for_those_who_want_no_motion(place: Place, tab: Tab) -> None:
    await tab.call(
        "Emulation.setEmulatedMedia",
        features=[{"name": "prefers-reduced-motion", "value": "reduce"}],
    )

    await tab.open(f"{place.admin.url}/now")
    stands = await tab.evaluate("document.querySelector('#pause').textContent")
    await tab.evaluate("document.querySelector('#pause').click()")
    goes_on = await tab.evaluate("document.querySelector('#pause').textContent")

    assert (stands, goes_on) == ("Resume", "Pause")


@needs_browser
async def test_an_answer_streams_into_the_page_and_can_be_stopped(place: Place, tab: Tab) -> None:
    poe = place.deployment.poe
    assert poe
    await tab.open(f"{place.admin.url}/try")
    fill = (
        "(model, prompt) => {"
        " document.querySelector('#model').value = model;"
        " document.querySelector('#prompt').value = prompt;"
        " document.querySelector('#question').requestSubmit(); }"
    )

    await tab.evaluate(f"({fill})('Echo', '<b>bold</b>')")
    await until(tab, "document.querySelector('#status').textContent === 'Complete'")
    words = await tab.evaluate("document.querySelector('#words').textContent")
    first = await tab.evaluate("document.querySelector('#first').textContent")
    await tab.evaluate(f"({fill})('Count', 'Count to 500, one every 50 ms.')")
    await until(tab, "document.querySelector('#words').textContent.includes('2')")
    await tab.evaluate("document.querySelector('#stop').click()")
    await until(tab, "document.querySelector('#status').textContent === 'Stopped'")

    assert words == "<b>bold</b>"
    assert re.fullmatch(r"\d+\.\d s", first)
    await eventually(lambda: poe.record.calls[-1].outcome == "client_left", "the call's end")
    assert tab.complaints == []


CELLS = """
[...new Set([...document.querySelectorAll("table th, table td, #ask")]
  .map(each => each.id ? "table-cell" : getComputedStyle(each).display))]
"""
"""How the cells of tables are laid out; a page without a table has its button."""


@needs_browser
@pytest.mark.parametrize("path", ["/now", "/usage", "/try"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_no_screen_is_wider_than_a_narrow_window(
    place: Place, tab: Tab, path: str, dark: bool
) -> None:
    asked = int(time.time() * 1000)
    names = {"name": "N" * 100, "group": "G" * 100, "model": "M" * 200}
    await write(place, Request(job="l", client="long", asked=asked, settled=10**15, **names))
    await tab.look(360, dark=dark)

    await tab.open(place.admin.url + path)

    assert await tab.evaluate("document.documentElement.scrollWidth") == 360
    await tab.look(1280, dark=dark)
    assert await tab.evaluate(CELLS) == ["table-cell"]
    assert tab.complaints == []


# The last ones, as they stop the gateway and the service


async def test_a_gateway_that_is_away_is_told_with_what_to_do(place: Place) -> None:
    await place.gateway.child.stop()

    told = await place.ask(secret=KEY)

    assert "gatewayUrl" in only(told, "error")["message"]


async def test_the_service_ends_though_a_question_is_open(place: Place) -> None:
    asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", place.gateway.port)
    async with silent, place.asking(secret=KEY):
        await asked.wait()
        status = await place.admin.child.stop()

    assert status == 0
