"""The admin page's screen *Poe accounts*, beside a worker and a simulated Poe."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape

import pytest
import pytest_asyncio

from tests.support.admin_page import Operator, admin_page
from tests.support.deployment import Child, Deployment, eventually, running_redis

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "sim-canary-of-poe-0123456789"


@dataclass
class Place:
    operator: Operator
    worker: Child

    async def row(self) -> str:
        """Return what the page says of the token, without its tags."""
        page = await self.operator.page("/accounts")
        found = re.search(r"<tbody>.*</tbody>", page, re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", found[0])).split()) if found else ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory = tmp_path_factory.mktemp("accounts")
    async with running_redis() as server, admin_page(directory, server.url) as admin:
        deployment = Deployment(directory, server)
        try:
            await deployment.start_poe()
            limits = "rateLimit = 7\nmaxInFlight = 3\ncoolDown = 0\nreconcileEvery = 0.5\n"
            worker = await deployment.start_worker(tokens=SECRET, config=limits)
            async with admin.operator() as operator:
                yield Place(operator, worker)
        finally:
            await deployment.close()


def path_of(page: str) -> str:
    found = re.search(r'href="(/accounts/[0-9a-f]{16})/park"', page)
    assert found, page
    return found[1]


async def test_a_token_of_the_configuration_is_shown_with_its_points(place: Place) -> None:
    async def points() -> bool:
        return "ago" in await place.row()

    await eventually(points, "a balance on the page")
    row = await place.row()

    assert "ready" in row
    assert "0 of 7" in row
    assert "0 of 3" in row
    assert "1,000,000" in row
    assert SECRET not in await place.operator.page("/accounts")


async def test_a_token_is_parked_and_unparked(place: Place) -> None:
    await eventually(place.row, "a token on the page")
    path = path_of(await place.operator.page("/accounts"))

    wrong = await place.operator.send(f"{path}/park", span="a while")
    _, parked = await place.operator.do(f"{path}/park", span="12h")
    until = await place.row()
    await place.operator.do(f"{path}/unpark", at="/accounts")

    assert wrong.status_code == 422
    assert 'value="a while"' in wrong.text
    assert "Write a duration" in wrong.text
    assert "is parked." in parked
    assert "parked by hand" in until
    assert "12 h more" in until or "11 h 59 min more" in until
    assert "parked by hand" not in await place.row()


async def test_a_token_that_is_none_cannot_be_parked(place: Place) -> None:
    answer = await place.operator.http.get("/accounts/0123456789abcdef/park")

    assert answer.status_code == 404


async def test_a_token_whose_worker_is_gone_is_nobodys(place: Place) -> None:
    await eventually(place.row, "a token on the page")
    assert await place.worker.stop() == 0

    assert "not used by any worker" in await place.row()
