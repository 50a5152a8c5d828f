"""The admin page in a browser: it has to fit, keep to its own policy, and work without a mouse.

Skipped where there is no Chromium.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from admin.screens import SCREENS
from tests.support.admin_page import LOGIN, AdminPage, admin_page
from tests.support.browser import CHROMIUM, Tab, browser
from tests.support.deployment import Deployment, eventually, running_redis

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]

LONG = "a-name-without-any-space-that-a-line-could-be-broken-at-" + "x" * 40

GROUND = "getComputedStyle(document.documentElement).backgroundColor"

UNNAMED = """
    [...document.querySelectorAll("input, textarea, select, button, a")]
        .filter(each => !each.hidden && each.type !== "hidden")
        .filter(each => !each.labels?.length && !each.ariaLabel && !each.textContent.trim())
        .map(each => each.outerHTML)
"""

STICKING_OUT = """(() => {
  const page = document.documentElement, width = page.clientWidth;
  const beyond = (e) => e.getBoundingClientRect().right > width;
  return page.scrollWidth <= width ? [] : [...document.querySelectorAll("*")].filter(beyond)
    .map((e) => `${e.tagName} ${e.getAttribute("class")} ${e.textContent.slice(0, 60)}`);
})()"""
"""What makes the page wider than the window."""

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Place:
    admin: AdminPage
    tab: Tab
    keys: str
    """The path of a key's own page."""
    token: str
    """The path of a Poe token."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory = tmp_path_factory.mktemp("look")
    async with running_redis() as server, admin_page(directory, server.url) as admin:
        deployment = Deployment(directory, server)
        try:
            await deployment.start_poe()
            await deployment.start_worker()
            async with admin.operator() as operator, browser() as tab:
                fields = {"models": LONG[:90], "labels": f"{LONG[:90]} = {LONG}"}
                path, _ = await operator.do(
                    "/keys/new", name=LONG, group=LONG[:80], dayBudget="1000", **fields
                )

                async def token() -> str:
                    page = await operator.page("/accounts")
                    return page.partition('href="/accounts/')[2].partition("/park")[0]

                id_ = await eventually(token, "a Poe token on the page")
                await log_in(tab, admin)
                yield Place(admin, tab, path, f"/accounts/{id_}")
        finally:
            await deployment.close()


async def log_in(tab: Tab, admin: AdminPage) -> None:
    await tab.look(1280)
    await tab.open(f"{admin.url}/login?language=en")
    await tab.evaluate(f"document.querySelector('#token').value = {LOGIN!r}")
    await tab.submit("form.login")


@pytest.mark.parametrize(
    ("width", "dark", "language"), [(360, True, "zh"), (360, False, "en"), (1280, True, "en")]
)
async def test_every_screen_fits_and_breaks_no_policy(
    place: Place, width: int, dark: bool, language: str
) -> None:
    tab = place.tab
    await tab.look(width, dark=dark)
    tab.complaints.clear()
    screens = [screen.place.path for screen in SCREENS]
    forms = [place.keys, f"{place.keys}/rotate", f"{place.keys}/remove", f"{place.token}/park"]
    grounds = set()
    for path in (*screens, "/keys/new", *forms):
        await tab.open(f"{place.admin.url}{path}?language={language}")
        assert await tab.evaluate("document.querySelector('nav [aria-current]') != null"), path
        assert await tab.evaluate(STICKING_OUT) == [], path
        grounds.add(
            await tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        )

    assert tab.complaints == []
    assert len(grounds) == 1
    assert ("rgb(17" in grounds.pop()) == dark
    assert (await tab.screenshot()).startswith(PNG)


async def test_the_policy_is_enforced(place: Place) -> None:
    tab = place.tab
    await tab.open(f"{place.admin.url}/keys")
    tab.complaints.clear()

    ran = await tab.evaluate(
        """(() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            document.body.setAttribute("style", "color: red");
            return Boolean(window.ran);
        })()"""
    )

    assert not ran
    await eventually(lambda: len(tab.complaints) >= 2, "two complaints of the policy")
    assert all("Content Security Policy" in complaint for complaint in tab.complaints)
    tab.complaints.clear()


async def test_every_field_and_button_says_what_it_is(place: Place) -> None:
    tab = place.tab
    for path in (*(screen.place.path for screen in SCREENS), "/keys/new", place.keys):
        await tab.open(place.admin.url + path)

        assert await tab.evaluate(UNNAMED) == [], path
        assert await tab.evaluate("document.querySelectorAll('h1').length") == 1, path
        tables = "[...document.querySelectorAll('table')].filter(each => !each.caption).length"
        assert await tab.evaluate(tables) == 0, path


async def test_the_first_stop_of_the_tab_key_skips_to_the_content(place: Place) -> None:
    tab = place.tab
    await tab.open(f"{place.admin.url}/keys")

    for kind in ("keyDown", "keyUp"):
        await tab.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)

    assert await tab.evaluate("document.activeElement.hash") == "#content"
    assert await tab.evaluate("document.activeElement.getBoundingClientRect().top >= 0")


async def test_colours_that_were_chosen_win_over_the_systems(place: Place) -> None:
    tab = place.tab
    await tab.look(1280, dark=True)

    await tab.open(f"{place.admin.url}/keys?theme=light")

    ground = await tab.evaluate(GROUND)
    await tab.open(f"{place.admin.url}/keys?theme=auto")
    assert ground == "rgb(247, 247, 248)"
