"""Plays the steps of an answer over a connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

import orjson
from aiohttp import web

from simulated_poe.record import Call, Outcome, Record
from simulated_poe.settings import Settings
from simulated_poe.steps import Cut, Played, Raw, Sleep, Status

_STREAM = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
_WRITES_AT_A_TIME = 16


class Player:
    """Plays one answer, and records how the call ended."""

    def __init__(
        self,
        request: web.Request,
        record: Record,
        call: Call,
        headers: dict[str, str],
        *,
        settings: Settings,
        hurry: asyncio.Event,
    ) -> None:
        """While `hurry` is set, nothing is waited for."""
        self._request = request
        self._record = record
        self._call = call
        self._headers = headers
        self._cut_bytes = settings.cut_bytes
        self._hurry = hurry
        self._stream: web.StreamResponse | None = None
        self._writes = 0

    async def play(self, steps: Iterable[Played]) -> web.StreamResponse:
        """Send the response; the status line goes out with the first bytes of a stream."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for step in steps:
            match step:
                case Raw():
                    await self._write(step)
                case Sleep(seconds):
                    due = await self._wait(due + seconds)
                case Status() if self._stream is None:
                    return self._whole(step)
                case Cut() | Status():
                    return self._drop()
        return await self._finish()

    async def _wait(self, until: float) -> float:
        """Wait, and return the time from which the next step counts."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._hurry.wait()
                await asyncio.sleep(0)
                return asyncio.get_running_loop().time()
        return until

    async def _write(self, raw: Raw) -> None:
        if self._stream is None:
            self._stream = web.StreamResponse(headers=_STREAM | self._headers)
            await self._stream.prepare(self._request)
        self._call.characters += raw.characters
        if raw.last:
            self._end("failed" if raw.failed else "answered")
        size = self._cut_bytes or len(raw.data)
        for start in range(0, len(raw.data), size or 1):
            await self._stream.write(raw.data[start : start + size])
            await self._give_way()

    async def _give_way(self) -> None:
        # A write waits only when buffers are full: a fast answer would starve all others.
        self._writes += 1
        if self._cut_bytes or self._writes % _WRITES_AT_A_TIME == 0:
            await asyncio.sleep(0)

    def _whole(self, status: Status) -> web.Response:
        self._end("answered" if status.status < 400 else "failed", status.status)
        headers = {**self._headers, **status.headers}
        if isinstance(status.body, bytes | str):
            body = status.body.encode() if isinstance(status.body, str) else status.body
        else:
            body = orjson.dumps(status.body)
            headers.setdefault("Content-Type", "application/json")
        return web.Response(status=status.status, body=body, headers=headers)

    def _drop(self) -> web.StreamResponse:
        self._end("cut")
        # What was written is still sent, but not the chunk that would end the body.
        if self._request.transport is not None:
            self._request.transport.close()
        return self._stream or web.Response()

    async def _finish(self) -> web.StreamResponse:
        if self._stream is None:
            await self._write(Raw(b""))
        self._end("answered")
        assert self._stream is not None  # noqa: S101
        await self._stream.write_eof()
        return self._stream

    def _end(self, outcome: Outcome, status: int = 200) -> None:
        self._record.end(self._call, outcome, time.monotonic(), status)
