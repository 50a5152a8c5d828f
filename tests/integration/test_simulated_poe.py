"""A simulated Poe over real connections, and as clients that are not ours understand it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import openai
import pytest

from simulated_poe import Settings, SimulatedPoe, checksum, fingerprint, long_text

ROOT = Path(__file__).parents[2]
UPLOAD = "/poe_api/file_upload_3RD_PARTY_POST"
TEXTS = b'event: text\r\ndata: {"text":"'


@pytest.fixture(scope="module")
def fp() -> ModuleType:
    with warnings.catch_warnings():
        # Its models are declared as an older pydantic wanted it.
        warnings.simplefilter("ignore")
        import fastapi_poe
    return fastapi_poe


@pytest.fixture
async def poe() -> AsyncIterator[SimulatedPoe]:
    async with SimulatedPoe() as running:
        yield running


def query(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "version": "1.2",
        "type": "query",
        "query": [{"role": "user", "content": text}],
    } | fields


async def ask(
    poe: SimulatedPoe, bot: str, text: str = "hi", key: str = "sim-a", **fields: Any
) -> httpx.Response:
    async with httpx.AsyncClient(base_url=poe.url) as client:
        headers = {"Authorization": f"Bearer {key}"}
        return await client.post(f"/bot/{bot}", json=query(text, **fields), headers=headers)


def question(fp: ModuleType, text: str) -> Any:
    message = fp.ProtocolMessage(role="user", content=text)
    ids = {"user_id": "", "conversation_id": "", "message_id": ""}
    return fp.QueryRequest(query=[message], version="1.2", type="query", **ids)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the record knows nothing of asyncio
            await asyncio.sleep(0.001)


def client_of(poe: SimulatedPoe, key: str = "sim-a") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{poe.url}/v1", api_key=key, max_retries=0)


async def test_poe_s_own_client_reads_our_answers(poe: SimulatedPoe, fp: ModuleType) -> None:
    message = fp.ProtocolMessage(role="user", content="count to 20")
    url = f"{poe.url}/bot/"

    count = [
        part.text async for part in fp.get_bot_response([message], "Count", "sim-a", base_url=url)
    ]
    echo = await fp.get_final_response(question(fp, "count to 20"), "Echo", "sim-a", base_url=url)

    assert "".join(count) == " ".join(map(str, range(1, 21)))
    assert echo == "count to 20"
    # Whatever that client finds odd it reports with another POST to the same address.
    assert [call.bot for call in poe.record.calls] == ["Count", "Echo"]


async def test_poe_s_own_client_tells_replaced_and_suggested_text_from_the_answer(
    poe: SimulatedPoe, fp: ModuleType
) -> None:
    message = fp.ProtocolMessage(role="user", content="why")

    parts = {
        bot: [
            (part.text, part.is_replace_response, part.is_suggested_reply, part.attachment)
            async for part in fp.get_bot_response(
                [message], bot, "sim-a", base_url=f"{poe.url}/bot/"
            )
        ]
        for bot in ("Think", "Suggest", "Draw")
    }

    assert ("Thinking... (3s elapsed)", True, False, None) in parts["Think"]
    assert ("Tell me more", False, True, None) in parts["Suggest"]
    (file,) = [attachment for *_, attachment in parts["Draw"] if attachment]
    assert (file.content_type, file.inline_ref) == ("image/png", "Ab3dE6gH")
    assert len(poe.record.calls) == 3


@pytest.mark.parametrize(
    ("bot", "key", "error", "calls"),
    [
        pytest.param("Fail-internal", "sim-a", "BotError", 2, id="it-may-try-again"),
        pytest.param("Fail-insufficient_fund", "sim-a", "BotErrorNoRetry", 1, id="it-may-not"),
        pytest.param("Echo", "sim-bad", "BotErrorNoRetry", 1, id="a-bad-key"),
        pytest.param("Echo", "sim-broke", "BotErrorNoRetry", 1, id="no-points"),
        pytest.param("Nobody", "sim-a", "BotErrorNoRetry", 1, id="no-such-bot"),
    ],
)
async def test_poe_s_own_client_reads_our_errors(
    bot: str, key: str, error: str, calls: int, fp: ModuleType
) -> None:
    async with SimulatedPoe(Settings(bot_errors="event")) as poe:
        with pytest.raises(fp.client.BotError) as raised:
            await fp.get_final_response(
                question(fp, "hi"), bot, key, base_url=f"{poe.url}/bot/", retry_sleep_time=0
            )

    assert type(raised.value).__name__ == error
    assert len(poe.record.calls) == calls


async def test_openai_s_own_client_reads_our_answers(poe: SimulatedPoe) -> None:
    text = "1000 words, seed 3"
    async with client_of(poe) as client:
        stream = await client.chat.completions.create(
            model="Long", messages=[{"role": "user", "content": text}], stream=True
        )
        streamed = [chunk.choices[0].delta.content or "" async for chunk in stream]
        whole = await client.chat.completions.create(
            model="long", messages=[{"role": "user", "content": text}]
        )

    assert checksum("".join(streamed)) == checksum(long_text(3, 1000))
    assert whole.choices[0].message.content == long_text(3, 1000)


@pytest.mark.parametrize(
    ("model", "key", "status"),
    [
        pytest.param("Fail-402", "sim-a", 402, id="a-status"),
        pytest.param("Fail-insufficient_fund", "sim-a", 402, id="an-error-event"),
        pytest.param("Fail-529-b", "sim-a", 529, id="the-other-shape"),
        pytest.param("echo", "sim-bad-key", 401, id="a-bad-key"),
        pytest.param("echo", "unknown", 401, id="an-unknown-key"),
        pytest.param("echo", "sim-broke-7", 402, id="no-points"),
        pytest.param("echo", "sim-limited", 429, id="always-limited"),
        pytest.param("nobody", "sim-a", 404, id="no-such-model"),
    ],
)
async def test_openai_s_own_client_reads_our_errors(
    poe: SimulatedPoe, model: str, key: str, status: int
) -> None:
    async with client_of(poe, key) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "hi"}]
            )

    assert raised.value.status_code == status
    assert raised.value.response.headers.get("Retry-After") == ("2" if status == 429 else None)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_an_answer_cut_into_pieces_is_the_same_answer(size: int) -> None:
    async with SimulatedPoe(Settings(cut_bytes=size)) as poe:
        cut = await ask(poe, "Echo", "naïve 東京 🙂")

    async with SimulatedPoe() as poe:
        whole = await ask(poe, "Echo", "naïve 東京 🙂")

    assert cut.content == whole.content


@pytest.mark.parametrize(
    ("variant", "garbage"),
    [
        pytest.param("json", b'"unfinis\r\n', id="broken-json"),
        pytest.param("line", b"x" * 2**21, id="a-line-of-two-megabytes"),
        pytest.param("utf8", b"caf\xe9 \xff", id="invalid-utf-8"),
        pytest.param("unknown", b"event: fanfare\r\n", id="an-unknown-event"),
        pytest.param("type", b'{"text":7}', id="a-text-that-is-a-number"),
        pytest.param("empty", b"data:\r\n\r\n", id="an-event-with-empty-data"),
    ],
)
async def test_garbage_comes_between_good_text(
    poe: SimulatedPoe, variant: str, garbage: bytes
) -> None:
    answer = await ask(poe, f"Garbage-{variant}")

    before, after = answer.content.split(garbage)
    assert before.startswith(TEXTS + b"before ")
    assert TEXTS + b"after" in after


@pytest.mark.parametrize(
    ("variant", "pings"),
    [
        pytest.param("ping", b": ping\r\n", id="comments"),
        pytest.param("pingevent", b"event: ping\r\n", id="events"),
    ],
)
async def test_a_silent_bot_may_ping(poe: SimulatedPoe, variant: str, pings: bytes) -> None:
    answer = await ask(poe, f"Silent-{variant}", "wait 0.01")

    assert answer.content.count(pings) == 10
    assert answer.content.index(pings) < answer.content.index(b"done waiting")


@pytest.mark.parametrize(
    ("bot", "events"),
    [
        pytest.param("Cut-2", 2, id="after-two-events"),
        pytest.param("Cut-0", 0, id="before-the-head"),
    ],
)
async def test_a_connection_can_be_dropped(poe: SimulatedPoe, bot: str, events: int) -> None:
    received = b""

    async def read() -> None:
        nonlocal received
        headers = {"Authorization": "Bearer sim-a"}
        async with (
            httpx.AsyncClient(base_url=poe.url, headers=headers) as client,
            client.stream("POST", f"/bot/{bot}", json=query("x")) as response,
        ):
            async for piece in response.aiter_raw():
                received += piece

    with pytest.raises(httpx.RemoteProtocolError):
        await read()

    assert received.count(TEXTS) == events
    assert [call.outcome for call in poe.record.calls] == ["cut"]


async def test_a_client_that_leaves_is_noticed(poe: SimulatedPoe) -> None:
    headers = {"Authorization": "Bearer sim-a"}
    async with (
        httpx.AsyncClient(base_url=poe.url) as client,
        client.stream(
            "POST", "/bot/Count", json=query("count to 99 every 1s"), headers=headers
        ) as response,
    ):
        first = await anext(response.aiter_raw())

    await until(lambda: poe.record.calls[0].ended is not None)

    call = poe.record.calls[0]
    assert first.startswith(TEXTS)
    assert (call.outcome, call.characters) == ("client_left", 1)
    assert poe.record.accounts[fingerprint("sim-a")].in_flight == 0


async def test_an_end_with_calls_under_way_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    async with SimulatedPoe() as poe:
        waiting = asyncio.create_task(ask(poe, "Silent", "wait 60"))
        await until(lambda: len(poe.record.calls) == 1)

    with pytest.raises(httpx.TransportError):
        await waiting
    assert [call.outcome for call in poe.record.calls] == ["stopped"]
    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


async def test_limits_are_enforced_per_account() -> None:
    settings = Settings(enforce=True, cool_down=30, keys={"k1": "alice", "k2": "alice"})

    async with SimulatedPoe(settings) as poe:
        answers = [await ask(poe, "Echo", key=key) for key in ("k1", "k2", "sim-a")]

    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert 1 <= int(answers[1].headers["Retry-After"]) <= 30
    assert [(v.account, v.kind) for v in poe.record.violations] == [("alice", "cooldown")]
    assert [call.outcome for call in poe.record.calls] == ["answered", "refused", "answered"]


async def test_violations_are_recorded_even_when_they_are_let_through() -> None:
    async with SimulatedPoe(Settings(rate_limit=2, bot_rate_headers=True)) as poe:
        answers = [await ask(poe, "Echo") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    remaining = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers]
    assert remaining == ["1", "0", "0"]
    assert [violation.kind for violation in poe.record.violations] == ["rate"]


async def test_only_calls_that_begin_cost_points() -> None:
    async with SimulatedPoe(Settings(points=25, price=10)) as poe:
        statuses = [
            (await ask(poe, bot)).status_code
            for bot in ("Echo", "Fail-500", "Nobody", "Echo", "Echo", "Echo")
        ]
        async with httpx.AsyncClient(base_url=poe.url) as client:
            balance = await client.get(
                "/usage/current_balance", headers={"Authorization": "Bearer sim-a"}
            )
            refused = await client.get("/usage/current_balance")

    assert statuses == [200, 500, 404, 200, 200, 402]
    assert balance.json()["current_point_balance"] == -5
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"


async def test_the_record_can_be_read_and_cleared_over_http(poe: SimulatedPoe) -> None:
    await ask(poe, "Echo", "hello", key="sim-secret")

    async with httpx.AsyncClient(base_url=poe.url) as client:
        shown = await client.get("/_simulated/record")
        await client.delete("/_simulated/record")
        cleared = await client.get("/_simulated/record")

    (call,) = shown.json()["calls"]
    assert (call["bot"], call["outcome"], call["characters"]) == ("Echo", "answered", 5)
    assert call["key"] == fingerprint("sim-secret")
    assert "sim-secret" not in shown.text
    assert cleared.json() == {"accounts": {}, "violations": [], "calls": [], "uploads": []}


async def test_roles_tells_what_was_sent(poe: SimulatedPoe) -> None:
    sent = query("hi", temperature=0.5, stop_sequences=["x"], access_key="secret")

    async with httpx.AsyncClient(base_url=poe.url) as client:
        answer = await client.post(
            "/bot/Roles", json=sent, headers={"Authorization": "Bearer sim-a"}
        )

    data = answer.text.split("\r\n")[1].removeprefix("data: ")
    received = json.loads(json.loads(data)["text"])
    sent.pop("access_key")
    assert received == sent | {"parameters": {}}


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"files": {"file": ("cat.png", b"\x89PNG", "image/png")}}, id="a-file"),
        pytest.param({"data": {"download_url": "https://example.com/cat.png"}}, id="a-url"),
    ],
)
async def test_an_upload_takes_the_bare_key(poe: SimulatedPoe, form: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=poe.url) as client:
        taken = await client.post(UPLOAD, headers={"Authorization": "sim-a"}, **form)
        refused = await client.post(UPLOAD, headers={"Authorization": "Bearer sim-a"}, **form)

    assert taken.json()["mime_type"] == "image/png"
    assert taken.json()["attachment_url"].startswith("https://pfst.cf2.poecdn.net/")
    assert (refused.status_code, refused.text[:6]) == (403, "<html>")


WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


async def test_poe_s_own_client_runs_tools_with_ours(poe: SimulatedPoe, fp: ModuleType) -> None:
    def get_weather(city: str) -> str:
        return f"sunny in {city}"

    text = 'call get_weather {"city": "Paris"}, call get_weather {"city": "Oslo"}'
    parts = fp.get_bot_response(
        [fp.ProtocolMessage(role="user", content=text)],
        "Tool",
        "sim-a",
        tools=[fp.ToolDefinition(type="function", function=WEATHER)],
        tool_executables=[get_weather],
        base_url=f"{poe.url}/bot/",
    )

    answer = "".join([part.text async for part in parts])

    lines = ['get_weather says: "sunny in Paris"', 'get_weather says: "sunny in Oslo"']
    assert answer == "\n".join(lines)
    # The first round, the second, and no report of anything odd.
    assert [call.bot for call in poe.record.calls] == ["Tool", "Tool"]


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_s_own_client_runs_tools_with_ours(poe: SimulatedPoe, stream: bool) -> None:
    tools: Any = [{"type": "function", "function": WEATHER}]
    messages: Any = [{"role": "user", "content": 'call get_weather {"city": "Paris"}'}]
    async with client_of(poe) as client:
        if stream:
            async with client.chat.completions.stream(
                model="Tool", messages=messages, tools=tools
            ) as answer:
                first: Any = await answer.get_final_completion()
        else:
            first = await client.chat.completions.create(
                model="Tool", messages=messages, tools=tools
            )
        (call,) = first.choices[0].message.tool_calls
        message = first.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"})
        own = {"role": "assistant", "tool_calls": message["tool_calls"]}
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        second = await client.chat.completions.create(
            model="Tool", messages=[*messages, own, result], tools=tools
        )

    assert first.choices[0].finish_reason == "tool_calls"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    assert second.choices[0].message.content == "get_weather says: sunny"


async def test_text_comes_in_chunks_from_a_bot_that_has_tools(poe: SimulatedPoe) -> None:
    tools = [{"type": "function", "function": WEATHER}]
    events = {}
    for bot in ("Tool-talk", "GPT-4o", "Echo", "Echo-notools"):
        answer = await ask(poe, bot, tools=tools)
        lines = answer.text.split("\r\n")
        events[bot] = {line[7:] for line in lines if line.startswith("event: ")}

    assert events["Tool-talk"] == events["GPT-4o"] == {"meta", "json", "done"}
    assert events["Echo"] == {"meta", "text", "done"}
    assert events["Echo-notools"] == {"error"}


async def test_text_after_results_comes_in_either_form() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c1", "name": "f", "content": "good"}
    fields = {"tools": [{"type": "function", "function": WEATHER}], "tool_calls": [call]}
    fields["tool_results"] = [result]
    events = []

    for form in ("text", "json"):
        async with SimulatedPoe(Settings(text_after_results=form)) as poe:  # type: ignore[arg-type]
            answer = await ask(poe, "Tool", "call f", **fields)
        events.append({line[7:] for line in answer.text.split("\r\n") if line[:5] == "event"})

    assert events == [{"meta", "text", "json", "done"}, {"meta", "json", "done"}]


async def test_all_bots_without_tools_may_refuse_them() -> None:
    async with SimulatedPoe(Settings(tools_unsupported="refused")) as poe:
        plain = await ask(poe, "Echo")
        refused = await ask(poe, "Echo", tools=[{"type": "function", "function": WEATHER}])

    assert "event: text" in plain.text
    assert "This bot does not support tools." in refused.text


async def test_wrong_tools_are_refused_with_a_status(poe: SimulatedPoe) -> None:
    answer = await ask(poe, "Tool", tools=[{"type": "function"}])

    assert answer.status_code == 400
    assert "function" in answer.json()["error"]["message"]


async def test_stop_sequences_are_a_hint_to_bots() -> None:
    async with SimulatedPoe() as poe:
        honoured = await ask(poe, "Count", "to 9", stop_sequences=["4"])
    async with SimulatedPoe(Settings(bot_stop="ignored")) as poe:
        ignored = await ask(poe, "Count", "to 9", stop_sequences=["4"])

    assert (" 3" in honoured.text, " 4" in honoured.text) == (True, False)
    assert " 9" in ignored.text


@pytest.mark.parametrize(
    ("name", "status", "start"),
    [
        pytest.param("fail-500.png", 500, b'{"error"', id="a-status"),
        pytest.param("fail-418.png", 418, b"<html>", id="a-status-that-poe-does-not-use"),
        pytest.param("fail-html.png", 403, b"<html>", id="a-page"),
        pytest.param("fail-empty.png", 200, b"{}", id="no-url"),
    ],
)
async def test_an_upload_fails_as_its_name_says(
    poe: SimulatedPoe, name: str, status: int, start: bytes
) -> None:
    async with httpx.AsyncClient(base_url=poe.url, headers={"Authorization": "sim-a"}) as client:
        answer = await client.post(UPLOAD, files={"file": (name, b"x", "image/png")})
        malformed = await client.post(UPLOAD, data={"other": "x"})

    assert (answer.status_code, answer.content[: len(start)]) == (status, start)
    assert malformed.status_code == 403
    assert [(u.name, u.status, u.url) for u in poe.record.uploads] == [(name, status, "")]


@pytest.mark.parametrize(
    ("taken", "statuses"),
    [
        pytest.param("any", (200, 200, 200), id="any"),
        pytest.param("poe", (200, 200, 400), id="poe-s-own"),
        pytest.param("own", (200, 400, 400), id="the-account-s-own"),
    ],
)
async def test_attachments_may_have_to_be_uploaded(taken: Any, statuses: tuple[int, ...]) -> None:
    async with SimulatedPoe(Settings(attachments=taken)) as poe:
        async with httpx.AsyncClient(base_url=poe.url) as client:
            form = {"file": ("a b.txt", b"hello", "text/plain")}
            own = await client.post(UPLOAD, files=form, headers={"Authorization": "sim-a"})
            other = await client.post(UPLOAD, files=form, headers={"Authorization": "sim-b"})
        seen = []
        for url in (
            own.json()["attachment_url"],
            other.json()["attachment_url"],
            "https://example.com/a.txt",
        ):
            attachment = {"url": url, "content_type": "text/plain", "name": "a.txt"}
            message = {"role": "user", "content": "x", "attachments": [attachment]}
            seen.append((await ask(poe, "See", query=[message])).status_code)

    assert tuple(seen) == statuses
    assert [(u.name, u.size, u.form) for u in poe.record.uploads] == [("a b.txt", 5, "file")] * 2


async def test_the_catalogue_can_change_and_fail() -> None:
    async with (
        SimulatedPoe(Settings(catalogue_status=503)) as poe,
        httpx.AsyncClient(base_url=poe.url) as client,
    ):
        failed = await client.get("/v1/models")
        new = {"display_name": "Brand-New", "plays": "count", "tools": True}
        change = {"status": 200, "models": [new]}
        changed = await client.patch("/_simulated/catalogue", json=change)
        models = (await client.get("/v1/models")).json()["data"]
        answer = await ask(poe, "brand-new", "to 3")
        wrong = await client.patch("/_simulated/catalogue", json={"model": 7})

    assert (failed.status_code, changed.status_code, wrong.status_code) == (503, 204, 400)
    assert models[-1]["id"] == "brand-new"
    assert "1" in answer.text


async def test_a_private_bot_is_not_in_the_api(poe: SimulatedPoe) -> None:
    async with client_of(poe) as client:
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(
                model="Private", messages=[{"role": "user", "content": "hi"}]
            )
        listed = {model.id async for model in client.models.list()}

    assert (await ask(poe, "Private")).status_code == 200
    assert "private" not in listed


async def test_the_latest_bodies_are_kept_without_keys(poe: SimulatedPoe) -> None:
    await ask(poe, "Echo", "hi", api_key="secret", temperature=0.5)

    (body,) = poe.record.bodies
    assert body["temperature"] == 0.5
    assert "secret" not in str(body)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_ends_quietly(end: signal.Signals, tmp_path: Path) -> None:
    config = tmp_path / "poe.json"
    config.write_text('{"keys": {"k": {"account": "alice", "points": 7}}}')
    command = [sys.executable, "-m", "simulated_poe", "--config", str(config)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().removeprefix("simulated poe on ").strip()

    async with httpx.AsyncClient(base_url=url) as client:
        balance = await client.get("/usage/current_balance", headers={"Authorization": "Bearer k"})
    process.send_signal(end)
    out, err = await process.communicate()

    assert balance.json()["current_point_balance"] == 7
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_config_that_is_wrong_is_named(tmp_path: Path) -> None:
    config = tmp_path / "poe.json"
    config.write_text('{"rate": 7}')

    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "simulated_poe", "--config", str(config)],
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()

    assert process.returncode == 2
    assert err.decode().startswith(f"{config}: ")
    assert "`rate`" in err.decode()


async def test_poe_s_own_server_writes_as_we_do() -> None:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.support.fastapi_poe_bot"],
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().split(" on ")[1].strip()
    ids = {"user_id": "", "conversation_id": "", "message_id": ""}

    try:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            headers = {"Authorization": "Bearer any"}
            theirs = await client.post("/bot/Echo", json=query("hi", **ids), headers=headers)
            odd = await client.post("/bot/Oddities", json=query("fail", **ids), headers=headers)
    finally:
        process.terminate()
        await process.communicate()

    async with SimulatedPoe() as poe:
        script = [{"event": "text", "data": {"text": "hi"}}, {"event": "done", "data": {}}]
        ours = await ask(poe, "Script", json.dumps(script))
    assert ours.text == theirs.text.replace('": "', '":"')
    names = [line[7:] for line in odd.text.split("\r\n") if line.startswith("event: ")]
    assert names == [
        "replace_response",
        "replace_response",
        "suggested_reply",
        "text",
        "error",
        "done",
    ]
