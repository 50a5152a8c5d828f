"""Keys that are made while everything runs, at two gateways with access tokens and an open one."""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.calls.stored_keys import AddKey
from contract.config import Given
from contract.keys import DEFAULT_KEYS
from contract.messages import Finished, Text
from contract.stored_keys import StoredKey, digest_of, secret_of
from gateway.queue.beliefs import BELIEVED_FOR
from gateway.queue.server import Server
from gateway.queue.stored_keys import StoredKeys as LookUp
from store.link import Link
from store.stored_keys import StoredKeys, UnknownKey
from tests.support.deployment import KEY, Gateway, RedisServer, running_redis
from tests.support.gateway_alone import CHAT, asking, kill, start_gateway, text_of
from tests.support.scripted_worker import ScriptedWorker, scripted_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "sk-test-canary-file-key-0123456789"
CONFIG = f'accessTokens = ["{LONG}"]\n'


@dataclass
class Place:
    """What runs while the tests of this module do."""

    server: RedisServer
    redis: Redis
    worker: ScriptedWorker
    gateways: list[Gateway]
    open: Gateway
    keys: StoredKeys
    secrets: list[str]
    """All that were made."""

    async def add(self, name: str, **terms: Any) -> tuple[StoredKey, str]:
        key, secret = await self.keys.add(given(name=name, **terms))
        self.secrets.append(secret)
        return key, secret

    async def rotate(self, name: str, grace: float) -> str:
        _, secret = await self.keys.rotate(name, grace)
        self.secrets.append(secret)
        return secret


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory = tmp_path_factory.mktemp("keys")
    async with running_redis() as server:
        redis = Redis.from_url(server.url, protocol=2)
        link = Link(server.url, timeout=5.0)
        keys = StoredKeys(partial(link.run, now="0"))
        async with scripted_worker(redis) as worker:
            start = partial(start_gateway, directory, server.url, key=None, probe="/readyz")
            gateways = await asyncio.gather(start(CONFIG), start(CONFIG), start(""))
            try:
                yield Place(server, redis, worker, gateways[:2], gateways[2], keys, [])
            finally:
                await kill(*(gateway.child for gateway in gateways))
                await link.aclose()
                await redis.aclose()


def given(**values: Any) -> Given:
    return Given(values, {name: name for name in values})


async def believed() -> None:
    """Wait until no gateway still believes what Redis has said before."""
    await asyncio.sleep(BELIEVED_FOR)


async def status(gateway: Gateway, key: str | None) -> int:
    async with gateway.http(key) as http:
        return (await http.get("/v1/models")).status_code


def command_line(gateway: Gateway) -> bytes:
    return Path(f"/proc/{gateway.child.pid}/cmdline").read_bytes()


async def statuses(place: Place, key: str) -> set[int]:
    return {await status(gateway, key) for gateway in place.gateways}


# This one comes first: the others make keys.
async def test_an_open_gateway_wants_a_key_once_one_was_made_and_ever_after(place: Place) -> None:
    before = [await status(place.open, key) for key in (None, "anything")]

    await place.add("first")
    secret = (await place.add("second"))[1]
    await believed()
    made = [await status(place.open, key) for key in (None, "anything", secret)]
    async for key in place.keys.list():
        await place.keys.remove(key.id)
    await believed()
    removed = [await status(place.open, key) for key in (None, "anything", secret)]

    assert before == [200, 200]
    assert made == [401, 401, 200]
    assert removed == [401, 401, 401]


async def test_a_new_key_works_at_once_at_every_gateway(place: Place) -> None:
    secret = (await place.add("at once"))[1]

    assert await statuses(place, secret) == {200}
    assert await statuses(place, secret[:-1]) == {401}
    assert await statuses(place, LONG) == {200}


async def test_disabling_enabling_and_removing_take_effect_at_every_gateway(place: Place) -> None:
    key, secret = await place.add("on and off")
    long_ago = StoredKeys(
        place.keys.run, lambda: datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC)
    )
    seen = [await statuses(place, secret)]

    for change in (
        partial(place.keys.set_disabled, "on and off", True),
        partial(place.keys.set_disabled, key.id, False),
        partial(long_ago.change, key.id, given(expires="2020-01-01")),
        partial(place.keys.change, key.id, given(expires=None)),
        partial(place.keys.remove, "on and off"),
    ):
        await change()
        await believed()
        seen.append(await statuses(place, secret))

    assert seen == [{200}, {401}, {200}, {401}, {200}, {401}]
    with pytest.raises(UnknownKey):
        await place.keys.show(key.id)


async def test_running_streams_survive_rotation_and_removal(place: Place) -> None:
    _, secret = await place.add("streaming")
    async with (
        place.gateways[0].http(secret) as http,
        http.stream("POST", CHAT, json=asking(stream=True)) as first,
    ):
        job = await place.worker.take()
        await job.begin()
        await job.say(Text("before "))
        renewed = await place.rotate("streaming", 0)
        await believed()
        old, new = await statuses(place, secret), await statuses(place, renewed)
        await job.say(Text("after "))
        await place.keys.remove("streaming")
        await believed()
        removed = await statuses(place, renewed)
        await job.say(Text("all"), Finished("stop"))

        text = await text_of(first)

    assert (old, new, removed) == ({401}, {200}, {401})
    assert text == "before after all"


async def test_a_replaced_secret_is_the_same_client_until_its_grace_ends(place: Place) -> None:
    key, secret = await place.add("graceful", maxConcurrent=1)
    renewed = await place.rotate("graceful", 3600)
    await place.keys.change("graceful", given(name="renamed"))

    async with (
        place.gateways[0].http(secret) as old,
        place.gateways[1].http(renewed) as new,
        old.stream("POST", CHAT, json=asking(stream=True)) as answer,
    ):
        job = await place.worker.take()
        await job.begin()
        busy = await new.post(CHAT, json=asking())
        await job.say(Text("done"), Finished("stop"))
        await text_of(answer)
    again = await place.rotate("renamed", 0)
    await believed()

    assert job.job.client == key.id
    assert busy.status_code == 429
    assert await statuses(place, secret) == await statuses(place, renewed) == {401}
    assert await statuses(place, again) == {200}


async def test_limits_and_models_hold_at_every_gateway_and_change_there(place: Place) -> None:
    _, secret = await place.add("limited", rateLimit=1, models=["Te*", "other"], weight=3)

    async def ask(gateway: Gateway, **more: Any) -> httpx.Response:
        async with gateway.http(secret) as http:
            return await http.post(CHAT, json=asking(**more))

    first = asyncio.create_task(ask(place.gateways[0]))
    job = await place.worker.take()
    weight = await place.redis.hget(DEFAULT_KEYS.client(job.job.client), "weight")
    await job.say(Text("done"), Finished("stop"))
    limited = [(await ask(gateway)).status_code for gateway in place.gateways]
    refused = await ask(place.gateways[1], model="Claude")
    await place.keys.change("limited", given(models=["claude"], rateLimit=None))
    await believed()
    changed = await ask(place.gateways[1])

    assert (await first).status_code == 200
    assert weight == b"3.0"
    assert limited == [429, 429]
    assert (refused.status_code, changed.status_code) == (404, 404)
    assert "not available to this API key" in changed.text


async def test_guesses_displace_no_key_and_only_so_many_are_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [digest_of((await place.add(f"remembered {n}"))[1]) for n in range(3)]
    monkeypatch.setattr("gateway.queue.beliefs.REMEMBERED", 2)
    server = Server(place.server.url)
    known = LookUp(server)

    try:
        guessed = [await known.find(digest_of(f"guess {number}")) for number in range(20)]
        after_guesses = repr(known)
        found = [await known.find(digest) for digest in digests]
    finally:
        await server.aclose()

    assert not any(each.key for each in guessed)
    assert all(each.key for each in found)
    assert after_guesses == "StoredKeys(0 remembered)"
    assert repr(known) == "StoredKeys(2 remembered)"


async def test_a_key_of_the_file_keeps_the_settings_of_the_file(place: Place) -> None:
    fields = {"name": b'"shadow"', "created": b'"2027-01-01T00:00:00Z"', "disabled": b"true"}
    await place.keys.run(AddKey("f" * 16, digest_of(LONG), fields))

    assert await statuses(place, LONG) == {200}


async def test_a_key_that_a_later_version_has_written_opens_nothing_and_is_no_wrong_key(
    place: Place,
) -> None:
    key, secret = await place.add("later")
    await place.redis.hset(DEFAULT_KEYS.stored_key(key.id), "weight", '{"not": "a number"}')

    assert await statuses(place, secret) == {503}


async def test_nobody_is_let_in_nor_called_wrong_while_redis_is_frozen(place: Place) -> None:
    _, secret = await place.add("frozen")
    never_made = secret_of(os.urandom(32))
    assert await statuses(place, secret) == {200}
    assert place.server.child
    await believed()

    place.server.child.send(signal.SIGSTOP)
    try:
        asked = [(place.gateways[0], secret), (place.gateways[1], never_made)]
        asked += [(place.open, None), (place.gateways[0], "sk-of-another-service")]
        frozen = await asyncio.gather(*(status(*each) for each in asked))
        async with place.gateways[0].http(secret) as http:
            answer = await http.post(CHAT, json=asking())
            key_check = await http.get("/_key")
    finally:
        place.server.child.send(signal.SIGCONT)

    assert frozen == [503, 503, 503, 401]
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    # nginx then leaves the decision to the request itself.
    assert key_check.status_code == 503


# This one comes last: it looks at what the others have left.
async def test_no_secret_is_left_anywhere(place: Place) -> None:
    held = [key + (await place.redis.dump(key) or b"") for key in await place.redis.keys("*")]
    assert place.server.child
    files = list(place.server.child.log.parent.glob("appendonlydir/*"))
    held += [file.read_bytes() for file in files]
    for gateway in (*place.gateways, place.open):
        held += [gateway.child.log.read_bytes(), command_line(gateway)]

    everything = b"\n".join(held)
    digest = digest_of(place.secrets[-1]).encode()

    assert len(place.secrets) > 8
    assert files
    assert digest in everything
    assert not re.search(rb"sk-p2g-", everything)
    assert LONG.encode() not in everything
    assert KEY.encode() not in everything
    assert msgspec.json.encode("frozen") in everything
