"""Measures what a hostile body costs other clients: `python -m bench.bodies [part of a name]`.

To one real gateway each body comes `AT_ONCE` times together, from processes of its own, while
another client reads an answer that grows by a word every 10 ms. Tells the longest silence of that
answer, and the most memory that the gateway and its children had together.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from contract.messages import Finished, Text
from tests.support.deployment import KEY, eventually
from tests.support.gateway_alone import CHAT, Rig, asking, rig

AT_ONCE = 2
MIB = 1024 * 1024
PACE = 0.01
_HELLO = b'{"model":"Test","messages":[{"role":"user","content":"hello"}]'


def _anchors(count: int = 1_100) -> dict[str, Any]:
    parts = {f"a{n}": {"$anchor": f"a{n}", "type": "object"} for n in range(count)}
    return {"$defs": parts, "properties": {f"p{n}": {"$ref": f"#a{n}"} for n in range(count)}}


def _picture() -> bytes:
    url = "data:image/png;base64," + "iVBORw0K" * (5 * MIB // 2)
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return json.dumps(
        {"model": "Test", "messages": [{"role": "user", "content": content}]}
    ).encode()


CASES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"{}",
    "empty arrays in an unknown field": lambda: _HELLO + b',"z":[%b[]]}' % (b"[]," * (10 * MIB)),
    "unknown fields": lambda: _HELLO + b"".join(b',"%d":0' % n for n in range(2_600_000)) + b"}",
    "messages": lambda: b'{"model":"Test","messages":[%b{}]}' % (b'{"role":"a"},' * (2 * MIB)),
    "stop": lambda: _HELLO + b',"stop":[%b"a"]}' % (b'"a",' * (7 * MIB)),
    "logit_bias": lambda: (
        _HELLO + b',"logit_bias":{%b"a":1}}' % b"".join(b'"%d":1,' % n for n in range(2_500_000))
    ),
    "a schema with anchors": lambda: json.dumps(
        asking(tools=[{"type": "function", "function": {"name": "f", "parameters": _anchors()}}])
    ).encode(),
    "a picture": _picture,
    "a text": lambda: json.dumps(
        asking('He said "hi", and \n {so} 你好. ' * 900_000), ensure_ascii=False
    ).encode(),
}


def _memory(pid: int) -> int:
    """Return the memory of a process and its descendants, in bytes."""
    total = 0
    with suppress(OSError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text()
        total = int(status.split("VmRSS:")[1].split()[0]) * 1024 if "VmRSS:" in status else 0
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            total += sum(_memory(int(child)) for child in children.read_text().split())
    return total


class Listener:
    """The other client, and the worker that writes its answer."""

    def __init__(self, home: Rig) -> None:
        self._home = home
        self._over = asyncio.Event()
        self.silences: list[float] = []

    async def run(self) -> None:
        await asyncio.gather(self._speak(), self._listen())

    def stop(self) -> None:
        self._over.set()

    async def _speak(self) -> None:
        answering = await self._home.worker.take()
        await answering.begin()
        while not self._over.is_set():
            await answering.say(Text("word "))
            await asyncio.sleep(PACE)
        await answering.say(Finished())

    async def _listen(self) -> None:
        async with (
            self._home.gateway.http() as http,
            http.stream("POST", CHAT, json=asking(stream=True), timeout=120) as response,
        ):
            last = time.monotonic()
            async for _ in response.aiter_lines():
                now = time.monotonic()
                self.silences.append(now - last)
                last = now


async def _send(home: Rig, body: Path) -> str:
    sending = await asyncio.create_subprocess_exec(
        *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", f"@{body}"),
        *("-H", f"authorization: Bearer {KEY}", "-H", "x-queue-timeout: 1"),
        f"http://127.0.0.1:{home.gateway.port}{CHAT}",
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await sending.communicate()
    return out.decode()


async def measure(body: bytes) -> tuple[float, int, str]:
    """Return the longest silence (seconds), the most memory (bytes), and the status."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "body"
        file.write_bytes(body)
        async with rig(Path(directory)) as home:
            listener = Listener(home)
            listening = asyncio.create_task(listener.run())
            await eventually(lambda: len(listener.silences) >= 100, "the other client's answer")
            listener.silences.clear()
            sending = asyncio.gather(*[_send(home, file) for _ in range(AT_ONCE)])
            most = 0
            while not sending.done():
                most = max(most, _memory(home.gateway.child.process.pid))
                await asyncio.sleep(5 * PACE)
            listener.stop()
            await listening
            return max(listener.silences), most, (await sending)[0]


async def main(wanted: str) -> None:
    print(f"| body, {AT_ONCE} at once | longest silence | memory |\n|---|---|---|")
    for name, make in CASES.items():
        if wanted in name:
            body = make()
            silence, memory, status = await measure(body)
            size = f"{len(body) / MIB:.0f} MiB" if len(body) >= MIB else f"{len(body) // 1024} KiB"
            told = f"{name}, {size} (answer: {status})"
            print(f"| {told} | {silence:.2f} s | {memory // MIB} MiB |", flush=True)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:])))
