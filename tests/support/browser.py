"""A headless Chromium, over its DevTools protocol: to look at pages as people do."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.deployment import PATIENCE, eventually

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
"""Where it is; None: there is none."""

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"),
)


class Tab:
    """One tab. `complaints` are what its console and its security policy have said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def call(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        reply = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await reply

    async def prepare(self) -> None:
        """Hear of what goes wrong in the pages that follow."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")

    async def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        await self._and_load(self.call("Page.navigate", url=url))

    async def submit(self, form: str) -> None:
        """Submit the form of this selector, as its button does, and wait for the next page."""
        script = f"document.querySelector({form!r}).requestSubmit()"
        await self._and_load(self.call("Runtime.evaluate", expression=script))

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression of JavaScript."""
        reply = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def look(self, width: int, *, height: int = 800, dark: bool = False) -> None:
        """Be as wide as this, and prefer these colours."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self) -> bytes:
        """Return the whole page as a PNG."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def close(self) -> None:
        await self._socket.close()
        self._reading.cancel()

    async def _and_load(self, action: Any) -> None:
        self._loaded.clear()
        await action
        async with asyncio.timeout(PATIENCE):
            await self._loaded.wait()

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._replies.pop(said["id"]).set_result(
                    said.get("result", {"error": said.get("error")})
                )
            else:
                self._heed(said["method"], said["params"])

    def _heed(self, method: str, said: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.exceptionThrown":
                self.complaints.append(str(said["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if said["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(said["args"]))
            case "Log.entryAdded":
                self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """Start Chromium, and yield its tab."""
    assert CHROMIUM
    with tempfile.TemporaryDirectory(prefix="p2g-browser-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *FLAGS,
            f"--user-data-dir={profile}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as http:
                port = await _port(Path(profile) / "DevToolsActivePort")
                async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    pages = [each for each in await answer.json() if each["type"] == "page"]
                async with http.ws_connect(
                    pages[0]["webSocketDebuggerUrl"], max_msg_size=0
                ) as socket:
                    tab = Tab(socket)
                    await tab.prepare()
                    yield tab
                    await tab.close()
        finally:
            process.kill()
            await process.wait()


async def _port(file: Path) -> int:
    def said() -> str:
        return file.read_text() if file.exists() else ""

    return int((await eventually(said, "Chromium")).split()[0])
