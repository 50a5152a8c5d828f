"""The admin service under attack: other names, other sites' pages, broken requests, two at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from admin.listing import MOST
from contract.stored_keys import may_be_secret
from tests.support.admin_page import LOGIN, AdminPage, Operator, admin_page, csrf_of
from tests.support.deployment import running_redis

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AdminPage]:
    directory = tmp_path_factory.mktemp("hostile")
    config = 'allowedHosts = ["Admin.example"]'
    async with running_redis() as server, admin_page(directory, server.url, config) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(admin: AdminPage) -> AsyncIterator[Operator]:
    async with admin.operator() as someone:
        yield someone


def secret_in(page: str) -> str:
    return page.split('<code id="secret">')[1].split("<", maxsplit=1)[0]


@pytest.mark.parametrize("host", ["evil.test", "evil.test:3701", "localhost.evil.test", "127.evil"])
@pytest.mark.parametrize(
    "path", ["/", "/login", "/keys", "/api/keys", "/healthz", "/static/page.js"]
)
async def test_a_name_that_was_rebound_gets_nothing(
    operator: Operator, host: str, path: str
) -> None:
    headers = {"Host": host, "Authorization": f"Bearer {LOGIN}"}

    answer = await operator.http.get(path, headers=headers)
    form = await operator.http.post("/login", data={"token": LOGIN}, headers={"Host": host})

    assert (answer.status_code, form.status_code) == (421, 421)
    assert "allowedHosts" in answer.text
    assert "set-cookie" not in form.headers
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:3701", "[::1]:3701", "192.0.2.7", "admin.EXAMPLE:8"],
)
async def test_an_address_and_a_name_that_is_allowed_are_answered(
    operator: Operator, host: str
) -> None:
    assert (await operator.http.get("/keys", headers={"Host": host})).status_code == 200


async def test_logging_in_again_ends_the_session_before(admin: AdminPage) -> None:
    async with admin.operator() as someone:
        before = "; ".join(f"{name}={value}" for name, value in someone.http.cookies.items())
        await someone.http.post("/login", data={"token": LOGIN})

    async with admin.visitor(Cookie=before) as thief:
        answer = await thief.get("/keys")

    assert before
    assert answer.status_code == 401


async def test_keys_that_are_made_in_two_tabs_both_show_their_secrets(operator: Operator) -> None:
    csrf = csrf_of(await operator.page("/keys/new"))
    places = [
        (await operator.http.post("/keys/new", data={"csrf": csrf, "name": name})).headers[
            "location"
        ]
        for name in ("one tab", "another tab")
    ]

    secrets = {secret_in(await operator.page(place)) for place in places}

    assert len(secrets) == 2
    assert all(map(may_be_secret, secrets))


@pytest.mark.parametrize("what", ["remove", "rotate", "disable"])
async def test_who_comes_too_late_is_told_that_there_is_no_such_key(
    operator: Operator, what: str
) -> None:
    path, page = await operator.do("/keys/new", name=f"contested {what}")
    fields = {"csrf": csrf_of(page), "grace": "0"}

    answers = await asyncio.gather(
        operator.http.post(f"{path}/remove", data=fields),
        *(operator.http.post(f"{path}/{what}", data=fields) for _ in range(8)),
    )

    statuses = {answer.status_code for answer in answers}
    assert statuses == {303, 404}


async def test_a_form_that_cannot_be_unpacked_is_refused(admin: AdminPage) -> None:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Encoding": "gzip",
    }
    async with admin.visitor() as http:
        answer = await http.post("/login", content=b"no gzip", headers=headers)

    assert answer.status_code == 400
    assert "failed by our own fault" not in admin.child.output()


@pytest.mark.parametrize("charset", ["unicode_escape", "rot13", "utf-16"])
async def test_a_form_in_an_encoding_of_no_browsers_is_no_fault_of_ours(
    operator: Operator, charset: str
) -> None:
    csrf = csrf_of(await operator.page("/keys/new"))

    answer = await operator.http.post(
        "/keys/new",
        content=f"csrf={csrf}&name=\\ud800".encode(),
        headers={"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"},
    )

    assert answer.status_code < 500


@pytest.mark.parametrize("line", [b"Content-Length: -1", b"X: \0", b"no colon"])
async def test_what_a_broken_request_has_said_is_not_logged(admin: AdminPage, line: bytes) -> None:
    host, port = admin.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /api/keys?canary HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary\r\n"
        + line
        + b" canary\r\n\r\n"
    )

    answer = await reader.read(1000)
    writer.close()

    assert answer.startswith(b"HTTP/1.0 400")
    assert "canary" not in admin.child.output()


async def test_however_many_keys_there_are_a_page_is_bounded(
    admin: AdminPage, operator: Operator
) -> None:
    async with admin.visitor(Authorization=f"Bearer {LOGIN}") as api:
        bodies = ({"name": f"many {n}", "group": f"group {n}"} for n in range(MOST + 1))
        made = await asyncio.gather(*(api.post("/api/keys", json=body) for body in bodies))

    page, found = await operator.page("/keys"), await operator.page("/keys?find=MANY+100")

    assert {answer.status_code for answer in made} == {201}
    assert page.count('<th scope="row"><a href="/keys/group?') == MOST
    assert page.count('<th scope="row"><a href="/keys/') == 2 * MOST
    assert "many 100" not in page
    assert "many 100" in await operator.page("/keys?page=2")
    assert found.count('<th scope="row"><a href="/keys/') == 1
