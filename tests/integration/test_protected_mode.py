"""A gateway without access tokens, and the web pages that would like to use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.deployment import KEY
from tests.support.gateway_alone import CHAT, Rig, asking, rig, start_gateway
from tests.support.gateway_alone import kill as end
from tests.support.scripted_worker import answering_all, words

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with (
        rig(tmp_path_factory.mktemp("open"), key=None) as running,
        answering_all(running.worker, words),
    ):
        yield running


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", CHAT), ("OPTIONS", CHAT), ("GET", "/v1/models"), ("GET", "/metrics")],
)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({"origin": "https://evil.example"}, "forbidden_origin", id="a page"),
        pytest.param({"origin": "null"}, "forbidden_origin", id="a page that hides"),
        pytest.param({"host": "evil.example:3700"}, "forbidden_host", id="a rebound name"),
    ],
)
async def test_a_web_page_gets_no_answer(
    open_house: Rig, method: str, path: str, headers: dict[str, str], code: str
) -> None:
    async with open_house.gateway.http(key=None) as http:
        # What a page may send without asking first.
        headers = {"content-type": "text/plain", **headers}
        answer = await http.request(method, path, json=asking(), headers=headers)

    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == code
    assert "allowedHosts" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:3700", "[::1]"])
async def test_this_machine_is_answered(open_house: Rig, host: str) -> None:
    headers = {"host": host, "origin": "http://localhost:8080"}
    async with open_house.gateway.http(key=None) as http:
        answer = await http.post(CHAT, json=asking(), headers=headers)

    assert answer.status_code == 200


async def test_a_probe_is_answered_under_any_name(open_house: Rig) -> None:
    async with open_house.gateway.http(key=None) as http:
        answer = await http.get("/healthz", headers={"host": "gateway"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("config", "key"),
    [
        pytest.param('allowedHosts = ["Evil.example"]', None, id="a setting allows it"),
        pytest.param("", KEY, id="with access tokens"),
    ],
)
async def test_who_is_let_in_on_purpose_is_answered(
    open_house: Rig, tmp_path: Path, config: str, key: str | None
) -> None:
    gateway = await start_gateway(tmp_path, open_house.server.url, config, key)
    headers = {"origin": "https://evil.example", "host": "evil.example"}

    async with gateway.http(key=key) as http:
        answer = await http.get("/v1/models", headers=headers)
    await end(gateway.child)

    assert answer.status_code == 200
