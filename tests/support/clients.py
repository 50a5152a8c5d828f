"""A client that records everything it receives, streamed or whole."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

CHAT = "/v1/chat/completions"


@dataclass
class Told:
    """Everything that a client has received of one answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    errors: list[dict[str, Any]] = field(default_factory=list)
    done: int = 0
    """The number of `[DONE]` received."""
    job: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first word of a stream arrives."""

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete and ended properly."""
        return self.status == 200 and self.done == 1 and not self.errors

    @property
    def code(self) -> str:
        """The code of the one error with which the answer ended."""
        assert self.done == 0
        assert len(self.errors) == 1, self
        return str(self.errors[0]["code"])


async def ask(
    http: httpx.AsyncClient,
    bot: str,
    text: str,
    *,
    stream: bool = True,
    into: Told | None = None,
    at: str = "",
) -> Told:
    """Ask, `at` another URL than the client's own if one is given, and read to the end."""
    told = into or Told()
    body = {"model": bot, "messages": [{"role": "user", "content": text}], "stream": stream}
    async with http.stream("POST", at + CHAT, json=body) as response:
        told.status, told.headers = response.status_code, dict(response.headers)
        if response.status_code != 200 or not stream:
            _take_whole(told, json.loads(await response.aread()))
            return told
        async for line in response.aiter_lines():
            _take_line(told, line)
    return told


def counted(last: int) -> str:
    """Return the answer of the bot Count."""
    return " ".join(str(number) for number in range(1, last + 1))


def _take_whole(told: Told, body: dict[str, Any]) -> None:
    if "error" in body:
        told.errors.append(body["error"])
    else:
        told.done = 1
        told.text = body["choices"][0]["message"]["content"]


def _take_line(told: Told, line: str) -> None:
    if not line.startswith("data: "):
        return
    assert not told.done, f"behind the end: {line}"
    assert not told.errors, f"behind the error: {line}"
    if line == "data: [DONE]":
        told.done += 1
        return
    chunk = json.loads(line[6:])
    if "error" in chunk:
        told.errors.append(chunk["error"])
    told.job = chunk.get("id", f"chatcmpl-{told.job}").removeprefix("chatcmpl-")
    for choice in chunk.get("choices", ()):
        told.text += choice["delta"].get("content") or ""
    if told.text:
        told.begun.set()
