"""Bodies as they arrive."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from gateway.incoming import Body
from gateway.inflate import STEP, Inflater
from gateway.problems import Kind, Problem
from gateway.uploads import Uploads

LIMIT = 20 * STEP
BOMB = gzip.compress(b"\0" * 64 * LIMIT)


async def test_a_bomb_is_expanded_no_further_than_to_the_limit_and_others_run_meanwhile() -> None:
    sizes, turns = [], 0

    async def others() -> None:
        nonlocal turns
        while True:
            sizes.append(upload.size)
            turns += 1
            await asyncio.sleep(0)

    assert len(BOMB) < LIMIT / 10
    with Uploads(LIMIT).upload("192.0.2.1") as upload:
        running = asyncio.create_task(others())
        refused = await Body(upload, LIMIT, Inflater("gzip")).add(BOMB)
        running.cancel()

        assert refused is not None
        assert refused.kind is Kind.TOO_LARGE
        assert turns >= LIMIT // STEP
        assert max(sizes) <= LIMIT
        assert upload.size == 0


async def test_expanded_bytes_count_as_those_of_the_upload() -> None:
    with Uploads(LIMIT).upload("192.0.2.1") as upload:
        body = Body(upload, LIMIT, Inflater("gzip"))
        assert await body.add(gzip.compress(b"a" * LIMIT)) is None

        assert upload.size == LIMIT
        assert body.whole() == b"a" * LIMIT


async def test_a_body_that_breaks_off_is_refused() -> None:
    with Uploads(LIMIT).upload("192.0.2.1") as upload:
        body = Body(upload, LIMIT, Inflater("gzip"))
        assert await body.add(BOMB[:20]) is None

        with pytest.raises(Problem, match="not whole"):
            body.whole()
