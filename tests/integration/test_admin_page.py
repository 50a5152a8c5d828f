"""The admin service's pages: who gets in, what every answer has, and the screen *keys*."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.keys import DEFAULT_KEYS
from contract.stored_keys import may_be_secret
from runtime.guesses import BURST
from tests.support.admin_page import LOGIN, AdminPage, Operator, admin_page, csrf_of, value_of
from tests.support.deployment import RedisServer, running_redis

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = "<script>alert(1)</script>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(
    server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AdminPage]:
    async with admin_page(tmp_path_factory.mktemp("page"), server.url) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(admin: AdminPage) -> AsyncIterator[Operator]:
    async with admin.operator() as someone:
        yield someone


async def made(operator: Operator, **fields: str) -> tuple[str, str]:
    """Make a key; return its path and its page."""
    return await operator.do("/keys/new", **fields)


async def test_whoever_is_not_logged_in_sees_the_form_and_comes_back_to_the_page(
    admin: AdminPage,
) -> None:
    async with admin.visitor() as http:
        refused = await http.get("/keys?x=1")
        answer = await http.post(
            "/login", data={"token": LOGIN, "to": value_of("to", refused.text)}
        )
        page = await http.get(answer.headers["location"])

    assert refused.status_code == 401
    assert answer.headers["location"] == "/keys?x=1"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert "<h1>Keys</h1>" in page.text


async def test_behind_tls_the_cookie_is_for_tls_only(admin: AdminPage) -> None:
    async with admin.visitor(**{"X-Forwarded-Proto": "https"}) as http:
        answer = await http.post("/login", data={"token": LOGIN})

    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("to", ["//evil.test", "/\\evil.test", "https://evil.test/", "", "/a\nb"])
async def test_the_login_leads_to_no_other_site(admin: AdminPage, to: str) -> None:
    async with admin.visitor() as http:
        answer = await http.post("/login", data={"token": LOGIN, "to": to})

    assert answer.headers["location"] == "/"


async def test_guessing_ends_and_locks_no_operator_out(admin: AdminPage) -> None:
    async with admin.visitor("127.0.0.9") as http:
        guesses = [
            await http.post("/login", data={"token": f"guess-{n}"}) for n in range(BURST + 2)
        ]
        api = await http.get("/api/keys", headers={"Authorization": "Bearer guess"})
        right = await http.post("/login", data={"token": LOGIN})
        right_at_api = await http.get("/api/keys", headers={"Authorization": f"Bearer {LOGIN}"})

    assert [answer.status_code for answer in guesses[:BURST]] == [401] * BURST
    assert guesses[-1].status_code == api.status_code == 429
    assert "Too many wrong tokens" in guesses[-1].text
    assert (right.status_code, right_at_api.status_code) == (303, 200)


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "{url}"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "{url}"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "http://evil.test"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[x"}, False),
    ],
)
async def test_a_form_of_another_site_is_refused(
    admin: AdminPage, operator: Operator, headers: dict[str, str], is_taken: bool
) -> None:
    path, page = await made(operator, name="csrf")
    sent = {name: value.format(url=admin.url) for name, value in headers.items()}

    answer = await operator.http.post(f"{path}/remove", data={"csrf": csrf_of(page)}, headers=sent)

    assert answer.status_code == (303 if is_taken else 403)
    assert (await operator.http.get(path)).status_code == (404 if is_taken else 200)
    if not is_taken:
        await operator.do(f"{path}/remove")


@pytest.mark.parametrize("token", ["", "x", None, "another session's"])
async def test_a_form_without_the_sessions_token_is_refused(
    admin: AdminPage, operator: Operator, token: str | None
) -> None:
    async with admin.operator() as other:
        others = csrf_of(await other.page("/keys"))
    fields = {} if token is None else {"csrf": others if token.startswith("another") else token}

    answer = await operator.http.post("/keys/new", data={"name": "forged", **fields})
    by_header = await operator.http.post(
        "/keys/new", data={"name": "forged"}, headers={"X-CSRF": others}
    )

    assert (answer.status_code, by_header.status_code) == (403, 403)
    assert "forged" not in await operator.page("/keys")


async def test_pages_take_no_login_token_and_the_api_takes_no_cookie(
    admin: AdminPage, operator: Operator
) -> None:
    async with admin.visitor(Authorization=f"Bearer {LOGIN}") as http:
        page = await http.get("/keys")

    assert page.status_code == 401
    assert (await operator.http.get("/api/keys")).status_code == 401


async def test_a_session_ends_at_the_logout(admin: AdminPage) -> None:
    async with admin.operator() as operator:
        cookie = "; ".join(f"{name}={value}" for name, value in operator.http.cookies.items())
        csrf = csrf_of(await operator.page("/keys"))

        answer = await operator.http.post("/logout", data={"csrf": csrf})

    async with admin.visitor(Cookie=cookie) as thief:
        page = await thief.get("/keys")
        form = await thief.post("/keys/new", data={"csrf": csrf, "name": "late"})
    assert cookie
    assert answer.headers["location"] == "/login"
    assert (page.status_code, form.status_code) == (401, 401)


async def test_nobody_is_logged_out_by_another_site(admin: AdminPage) -> None:
    async with admin.operator() as operator:
        http = operator.http
        refused = await http.post("/logout", data={}, headers={"Sec-Fetch-Site": "cross-site"})

        assert refused.status_code == 403
        assert (await http.get("/keys")).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/keys", "/nowhere", "/login", "/healthz", "/static/style.css", "/static/no", "/api/x"],
)
async def test_every_answer_says_what_a_browser_may_do(
    admin: AdminPage, operator: Operator, path: str
) -> None:
    async with admin.visitor() as http:
        answers = [await operator.http.get(path), await http.get(path), await http.put(path)]

    for answer in answers:
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        is_static = path.startswith("/static/")
        assert answer.headers["cache-control"] == ("no-cache" if is_static else "no-store")


async def test_no_page_has_a_script_or_a_style_of_its_own(operator: Operator) -> None:
    path, _ = await made(operator, name="plain")
    for each in ("/keys", "/keys/new", path, f"{path}/rotate", f"{path}/remove"):
        page = await operator.page(each)
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert page.count("<script") == page.count('<script src="/static/')
    await operator.do(f"{path}/remove")


async def test_what_people_type_is_shown_as_text(operator: Operator) -> None:
    hostile = f"\"'>{SCRIPT}{{{{ 'p' * 7 }}}}"
    path, page = await made(
        operator, name=hostile, group=hostile, models=hostile, labels=f"a{SCRIPT} = {hostile}"
    )
    pages = [page, *[await operator.page(each) for each in ("/keys", f"{path}/rotate")]]
    refused = await operator.send("/keys/new", name=hostile, weight=SCRIPT)
    _, after = await operator.do(f"{path}/remove")

    for each in (*pages, refused.text, after):
        assert SCRIPT not in each
        assert "&lt;script&gt;" in each
        assert "ppppppp" not in each


@pytest.mark.parametrize(
    ("accepted", "title"),
    [("zh-CN,zh;q=0.9", "密钥"), ("de,en;q=0.5", "Keys"), ("", "Keys")],
)
async def test_the_page_speaks_the_browsers_language(
    admin: AdminPage, accepted: str, title: str
) -> None:
    async with admin.operator(**{"Accept-Language": accepted}) as operator:
        assert f"<h1>{title}</h1>" in await operator.page("/keys")


async def test_a_language_and_colours_that_were_chosen_stay(admin: AdminPage) -> None:
    async with admin.operator() as operator:
        await operator.page("/keys?language=zh")
        await operator.page("/keys?theme=dark")
        page = await operator.page("/keys?theme=no&language=no")

    assert '<html lang="zh-CN" data-theme="dark">' in page


async def test_a_key_lives_through_the_pages(operator: Operator) -> None:
    path, fresh = await made(operator, name="ann", rateLimit="1,000", models="gpt-*\r\n\r\nX")
    secret = fresh.split('<code id="secret">')[1].split("<")[0]
    again = await operator.page(path)
    before = value_of("before", again)
    _, changed = await operator.do(
        path, before=before, name="Anna", rateLimit="", models="gpt-*\nX"
    )
    _, rotated = await operator.do(f"{path}/rotate", grace="7d")
    _, disabled = await operator.do(f"{path}/disable", at=path)
    _, enabled = await operator.do(f"{path}/enable", at=path)
    _, removed = await operator.do(f"{path}/remove")

    assert may_be_secret(secret)
    assert secret not in again
    assert value_of("rateLimit", fresh) == "1000"
    assert "Anna was changed" in changed
    assert value_of("rateLimit", changed) == ""
    assert may_be_secret(new := rotated.split('<code id="secret">')[1].split("<")[0])
    assert new != secret
    assert "Previous secret valid until" in rotated
    assert 'class="state idle">disabled' in disabled
    assert 'class="state good">active' in enabled
    assert "Anna was removed" in removed
    assert (await operator.http.get(path)).status_code == 404


async def test_a_key_with_as_many_models_as_it_may_have_is_changed(operator: Operator) -> None:
    models = "\n".join(f"model-{n:04}-{'*' * 80}" for n in range(1000))
    path, page = await made(operator, name="many", models=models)

    fields = {"name": "many", "models": models, "weight": "2"}
    _, changed = await operator.do(path, before=value_of("before", page), **fields)

    assert "model-0999-" in changed
    assert value_of("weight", changed) == "2"
    await operator.do(f"{path}/remove")


async def test_a_secret_is_kept_for_the_page_of_its_own_key(operator: Operator) -> None:
    other, _ = await made(operator, name="other one")
    csrf = csrf_of(await operator.page("/keys/new"))
    answer = await operator.http.post("/keys/new", data={"csrf": csrf, "name": "fresh one"})

    elsewhere = await operator.page(other)
    here = await operator.page(answer.headers["location"])

    assert 'id="secret"' not in elsewhere
    assert 'id="secret"' in here
    for path in (other, answer.headers["location"]):
        await operator.do(f"{path}/remove")


async def test_what_is_to_be_said_waits_for_a_whole_page(operator: Operator) -> None:
    path, page = await made(operator, name="noted")
    await operator.http.post(f"{path}/disable", data={"csrf": csrf_of(page)})

    # What `now` fetches by itself, in another tab.
    await operator.page("/now/parts")

    assert "noted is disabled" in await operator.page(path)
    assert "noted is disabled" not in await operator.page(path)
    await operator.do(f"{path}/remove")


async def test_a_mistake_is_told_beside_its_field_and_nothing_typed_is_lost(
    admin: AdminPage,
) -> None:
    typed = {
        "name": "half done",
        "group": " team ",
        "weight": "heavy",
        "dayBudget": "-1",
        "timeZone": "Mars/Base",
        "expires": "soon",
        "labels": "no equals sign",
        "models": "a\nb",
    }
    async with admin.operator(**{"Accept-Language": "zh"}) as operator:
        answer = await operator.send("/keys/new", **typed)
        listed = await operator.page("/keys")

    assert answer.status_code == 422
    for name in ("weight", "dayBudget", "timeZone", "expires"):
        assert value_of(name, answer.text) == typed[name]
    for name in ("weight", "dayBudget", "timeZone", "expires", "labels"):
        assert f'<p class="mistake" id="{name}-mistake">请' in answer.text or name == "labels"
    assert 'id="labels-mistake">每行一个标签' in answer.text
    assert 'id="name-mistake"' not in answer.text
    assert "no equals sign</textarea>" in answer.text
    assert "half done" not in listed


async def test_a_name_that_is_taken_is_told(operator: Operator) -> None:
    path, _ = await made(operator, name="taken")
    other, page = await made(operator, name="other")

    new = await operator.send("/keys/new", name="taken", group="kept")
    renamed = await operator.send(other, before=value_of("before", page), name="taken")

    for answer in (new, renamed):
        assert answer.status_code == 422
        assert "Another key has this name" in answer.text
    assert value_of("group", new.text) == "kept"
    for each in (path, other):
        await operator.do(f"{each}/remove")


async def test_two_who_change_different_settings_do_not_undo_each_other(
    operator: Operator,
) -> None:
    path, page = await made(operator, name="shared", rateLimit="5", weight="2")
    fields = {"name": "shared", "rateLimit": "5", "weight": "2", "before": value_of("before", page)}

    await operator.do(path, **{**fields, "rateLimit": "6"})
    _, after = await operator.do(path, **{**fields, "weight": "3"})

    assert (value_of("rateLimit", after), value_of("weight", after)) == ("6", "3")
    await operator.do(f"{path}/remove")


async def test_budgets_are_bars_of_what_is_spent_and_reserved(
    server: RedisServer, operator: Operator
) -> None:
    path, _ = await made(operator, name="spender", totalBudget="2000", monthBudget="0")
    counter = DEFAULT_KEYS.budget(f"key:{path.rpartition('/')[2]}:total")
    async with Redis.from_url(server.url) as redis:
        await redis.hset(counter, mapping={"spent": 1200, "reserved": 300, "limit": 9})

    listed, shown = await operator.page("/keys"), await operator.page(path)

    for page in (listed, shown):
        assert "1,200 of 2,000" in page
        assert '<rect class="spent" width="60.00"' in page
        assert '<rect class="reserved" width="75.00"' in page
        assert "0 of 0" in page
    assert "500 points left" in shown
    assert "300 reserved" in shown
    await operator.do(f"{path}/remove")


@pytest.mark.parametrize("name", ["research", f"a/b?c=d&e #{SCRIPT}", "研究 组"])
async def test_a_group_has_budgets_of_its_own(operator: Operator, name: str) -> None:
    path, _ = await made(operator, name="member", group=name)
    link = re.search(
        r'<th scope="row"><a href="(/keys/group\?[^"]*)"', await operator.page("/keys")
    )
    assert link
    group = unescape(link[1])

    wrong = await operator.send(group, dayBudget="much", weekBudget="7")
    _, changed = await operator.do(group, dayBudget="1,000", timeZone="Asia/Shanghai")
    _, kept = await operator.do(
        group, before=value_of("before", changed), dayBudget="1000", timeZone=""
    )
    removal = group.replace("/keys/group?", "/keys/group/remove?")
    _, removed = await operator.do(removal, at=group)

    assert wrong.status_code == 422
    assert (value_of("dayBudget", wrong.text), value_of("weekBudget", wrong.text)) == ("much", "7")
    assert (value_of("dayBudget", changed), value_of("timeZone", changed)) == (
        "1000",
        "Asia/Shanghai",
    )
    assert (value_of("dayBudget", kept), value_of("timeZone", kept)) == ("1000", "")
    assert "0 of 1,000" in changed
    assert "no budget" in removed
    assert (await operator.send(removal, at=group)).status_code == 404
    await operator.do(f"{path}/remove")


@pytest.mark.parametrize("query", ["", "?name=", "?name=%20a", "?name=a%0Ab", f"?name={'x' * 101}"])
async def test_what_is_no_name_of_a_group_is_none(operator: Operator, query: str) -> None:
    assert (await operator.http.get(f"/keys/group{query}")).status_code == 404


async def test_a_redis_that_is_frozen_is_told_on_a_page(
    server: RedisServer, operator: Operator
) -> None:
    assert server.child
    csrf = csrf_of(await operator.page("/keys/new"))
    server.child.send(signal.SIGSTOP)
    try:
        answer, form = await asyncio.gather(
            operator.http.get("/keys"),
            operator.http.post("/keys/new", data={"csrf": csrf, "name": "frozen", "weight": "7"}),
        )
    finally:
        server.child.send(signal.SIGCONT)

    assert answer.status_code == 503
    assert "Redis does not answer" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert form.status_code == 503
    assert "Redis does not answer" in form.text
    assert (value_of("name", form.text), value_of("weight", form.text)) == ("frozen", "7")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded; charset=none", b"token=x"),
        ("application/x-www-form-urlencoded", b"token=\xff\xfe&to=%ff"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name"),
        ("application/json", b"{}"),
    ],
)
async def test_a_form_that_is_none_is_no_fault_of_ours(
    admin: AdminPage, content_type: str, body: bytes
) -> None:
    async with admin.visitor("127.0.0.12") as http:
        answer = await http.post("/login", content=body, headers={"Content-Type": content_type})

    assert answer.status_code in (400, 401)


async def test_no_log_line_has_a_token_or_a_secret(admin: AdminPage, operator: Operator) -> None:
    path, page = await made(operator, name="canary")
    secret = page.split('<code id="secret">')[1].split("<")[0]
    await operator.do(f"{path}/remove")

    log = admin.child.output()
    assert "failed by our own fault" not in log
    assert not [each for each in (LOGIN, secret, csrf_of(page)) if each in log]


async def test_a_large_form_is_refused(operator: Operator) -> None:
    answer: httpx.Response = await operator.send("/keys/new", name="a" * 2_000_000)

    assert answer.status_code == 413
