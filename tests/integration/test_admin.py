"""The admin service's API for keys."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from contract.stored_keys import digest_of, may_be_secret
from poe2gpt.command import run
from tests.support.deployment import (
    PATIENCE,
    Child,
    Gateway,
    RedisServer,
    eventually,
    free_port,
    running_redis,
    spawn,
)
from tests.support.gateway_alone import kill, start_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOGIN = "login-canary-0123456789-0123456789"
KEYS = "/api/keys"


@dataclass
class Place:
    server: RedisServer
    admin: Child
    gateway: Gateway
    http: httpx.AsyncClient
    """A client that is logged in."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory, port = tmp_path_factory.mktemp("admin"), free_port()
    file = directory / "config.toml"
    file.write_text(f"adminPort = {port}\n")
    async with running_redis() as server:
        admin = await spawn(
            directory / "admin.log",
            *(sys.executable, "-m", "poe2gpt", "admin", "--config", str(file)),
            *("--redis-url", server.url),
            env={"ADMIN_TOKEN": LOGIN},
        )
        gateway = await start_gateway(directory, server.url, "requireKey = true\n", key=None)
        http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"authorization": f"Bearer {LOGIN}"},
            timeout=PATIENCE,
            trust_env=False,
        )
        try:
            await eventually(lambda: is_up(http), "the admin service")
            yield Place(server, admin, gateway, http)
        finally:
            await http.aclose()
            await kill(admin, gateway.child)


async def is_up(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_key_lives_through_the_api(place: Place) -> None:
    async def ask(method: str, path: str, body: Any = None) -> Any:
        answer = await place.http.request(method, KEYS + path, json=body)
        assert answer.is_success, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    made = await ask("POST", "", {"name": "ann", "rateLimit": 5, "expires": "30d"})
    secret = made.pop("secret")
    listed = (await ask("GET", ""))["keys"]
    shown = await ask("GET", "/ann")
    changed = await ask("PATCH", "/ann", {"name": "Anna", "rateLimit": None, "labels": {"a": "b"}})
    rotated = await ask("POST", f"/{made['id']}/rotate", {"grace": "0"})
    disabled = await ask("POST", "/Anna/disable")
    enabled = await ask("POST", "/Anna/enable")
    async with place.gateway.http(rotated["secret"]) as client:
        answer = await client.get("/v1/models")
    removed = await ask("DELETE", "/Anna")

    assert may_be_secret(secret)
    assert secret != rotated["secret"]
    assert listed == [shown] == [made]
    assert (changed["name"], changed["rateLimit"], changed["labels"]) == ("Anna", None, {"a": "b"})
    assert (disabled["state"], enabled["state"]) == ("disabled", "active")
    assert answer.status_code == 200
    assert removed["id"] == made["id"]
    assert (await ask("GET", ""))["keys"] == []


@pytest.mark.parametrize(
    ("asked", "body", "status", "message"),
    [
        ("POST ", {"name": "a", "weight": 0}, 400, "`weight` = 0: expected a number >= 0.01"),
        ("POST ", {"name": "a", "nam": 1}, 400, "did you mean `name`?"),
        ("POST ", {"name": "a", "labels": {"b": "c" * 201}}, 400, "`labels`"),
        ("POST ", {}, 400, "`name`: is missing"),
        (
            "POST ",
            {"name": "a", "expires": "2020-01-01"},
            400,
            "`expires` = '2020-01-01': has passed",
        ),
        ("PATCH /taken", {"expires": "2020-01-01"}, 400, "`expires` = '2020-01-01': has passed"),
        ("POST ", [], 400, "must be a JSON object"),
        ("POST ", {"name": "taken"}, 409, "Another key has this name"),
        ("PATCH /taken", {"name": None}, 400, "has to have a name"),
        ("POST /taken/rotate", {"grace": "soon"}, 400, "`grace`: expected a span"),
        ("POST /taken/rotate", {"grce": "0"}, 400, "did you mean `grace`?"),
        ("GET /nobody", None, 404, "There is no such key"),
        ("DELETE /nobody", None, 404, "There is no such key"),
        ("GET /a/b/c", None, 404, "Not Found"),
        ("PUT /taken", None, 405, "Method Not Allowed"),
    ],
)
async def test_a_mistake_is_told(
    place: Place, asked: str, body: Any, status: int, message: str
) -> None:
    await place.http.post(KEYS, json={"name": "taken"})

    method, path = asked.split(" ")
    answer = await place.http.request(method, KEYS + path, json=body)

    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer x", f"Bearer {LOGIN}x", f"Basic {LOGIN}", f"Bearer {digest_of(LOGIN)}"],
)
async def test_nobody_else_is_let_in(place: Place, authorization: str) -> None:
    for method, path in (("GET", KEYS), ("POST", KEYS), ("GET", "/nowhere"), ("GET", "/")):
        answer = await place.http.request(method, path, headers={"authorization": authorization})

        assert answer.status_code == 401, (method, path)
        assert LOGIN not in answer.text


async def test_a_large_body_is_refused(place: Place) -> None:
    answer = await place.http.post(KEYS, content=b'{"name": "' + b"a" * 2_000_000 + b'"}')

    assert answer.status_code == 413


async def test_a_redis_that_is_frozen_is_told(place: Place) -> None:
    assert place.server.child
    place.server.child.send(signal.SIGSTOP)
    try:
        answer = await place.http.get(KEYS)
    finally:
        place.server.child.send(signal.SIGCONT)

    assert answer.status_code == 503


async def test_the_login_token_is_nowhere_to_be_read(place: Place) -> None:
    def told(what: str) -> bytes:
        return Path(f"/proc/{place.admin.pid}/{what}").read_bytes()

    assert LOGIN.encode() not in told("cmdline") + told("environ") + place.admin.log.read_bytes()


@pytest.mark.parametrize(
    ("token", "message"),
    [("", "needs a login token"), ("short-canary", "is too short; make one with")],
)
async def test_without_a_good_login_token_it_does_not_start(
    token: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", token)

    assert run(["admin"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "canary" not in said


async def test_a_groups_budgets_are_set_listed_and_removed(place: Place) -> None:
    # when
    group = "/api/groups/the%20lab"
    made = await place.http.patch(group, json={"dayBudget": 500, "timeZone": "Europe/Berlin"})
    changed = await place.http.patch(group, json={"totalBudget": 900, "dayBudget": None})
    wrong = await place.http.patch(group, json={"dayBudgets": 1})
    listed = await place.http.get("/api/groups")
    removed = await place.http.delete(group)
    gone = await place.http.get(group)

    # then
    (day,) = made.json()["budgets"]
    assert (day["period"], day["limit"], day["spent"], day["reserved"]) == ("day", 500, 0, 0)
    assert [budget["period"] for budget in changed.json()["budgets"]] == ["total"]
    assert (wrong.status_code, "dayBudget" in wrong.text) == (400, True)
    assert [each["name"] for each in listed.json()["groups"]] == ["the lab"]
    assert removed.json()["totalBudget"] == 900
    assert gone.status_code == 404
