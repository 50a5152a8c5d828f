"""Bounded reading of response bodies that are not event streams."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import httpx

from worker.poe.errors import from_status
from worker.poe.faults import Fault, FaultKind
from worker.poe.http_errors import FOREIGN

LONGEST_ERROR = 64 * 1024
"""Bytes of an error. Poe's are below 1 KiB; the pages of proxies on the way are longer."""

ERROR_TIME = 5.0
"""Seconds for the body of an error: its status says the most."""

LONGEST_BODY = 16 * 1024 * 1024
"""Bytes of any other body: ten times what a catalogue of 341 models took in 2026."""


async def refusal(response: httpx.Response) -> Fault:
    """Return why there is no answer, from as much of the body as comes in time."""
    body = bytearray()
    with suppress(*FOREIGN):
        async with asyncio.timeout(ERROR_TIME):
            await _read(response, body, LONGEST_ERROR)
    return from_status(response.status_code, response.headers, bytes(body), time.time())


async def whole(response: httpx.Response) -> bytes:
    """Read all of a body. Raises Fault(PROTOCOL) when it is too long."""
    body = bytearray()
    await _read(response, body, LONGEST_BODY)
    if len(body) > LONGEST_BODY:
        raise Fault(FaultKind.PROTOCOL)
    return bytes(body)


async def _read(response: httpx.Response, body: bytearray, most: int) -> None:
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            return
