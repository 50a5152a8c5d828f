"""The content of attachments crosses Redis beside the jobs, for as long as they need it."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from contract.config import ModelSettings
from contract.messages import FailureKind, Finished, MediaPart, Message, Text
from simulated_poe import Settings, SimulatedPoe
from tests.support.deployment import RedisServer, eventually
from tests.support.gateway_alone import CHAT, rig
from tests.support.keys import keys
from tests.support.scripted_worker import Answering
from tests.support.upload_desk import UploadDesk
from tests.support.worker_alone import Asking, failure, said, token, working

MIB = 1024 * 1024
PICTURE = os.urandom(3 * MIB)
DIGEST = sha256(PICTURE).hexdigest()
PART = MediaPart("image", "", "image/png", digest=DIGEST, size=len(PICTURE))
KINDS = pytest.mark.parametrize("kind", ["bot", "openai"])
KEYS = """
accessTokens = ["ann-key", "bob-key"]
"""


def asking(data: bytes, **more: Any) -> dict[str, Any]:
    url = f"data:image/png;base64,{b64encode(data).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return {"model": "Test", "messages": [{"role": "user", "content": content}], **more}


async def hold(answering: Answering) -> None:
    await answering.begin()


async def blobs(redis: Redis) -> set[str]:
    found = [key.decode() async for key in redis.scan_iter(match=keys.blob("*"))]
    return {name.removeprefix(keys.blob("")) for name in found}


async def stored(redis: Any, client: str) -> int:
    return int(await redis.hget(keys.client(client), "bytes") or 0)


# The gateway's side.


async def test_two_clients_share_a_picture_and_each_pays_for_it(tmp_path: Path) -> None:
    # given
    async with rig(tmp_path, KEYS, key=None) as here:
        taken = [asyncio.create_task(here.worker.take(hold)) for _ in range(2)]

        # when
        async with here.gateway.http("ann-key") as ann, here.gateway.http("bob-key") as bob:
            asked = [
                asyncio.create_task(each.post(CHAT, json=asking(PICTURE))) for each in (ann, bob)
            ]
            held = await asyncio.gather(*taken)

            # then
            assert await blobs(here.redis) == {DIGEST}
            data: Any = here.redis.hget(keys.blob(DIGEST), "data")
            assert await data == PICTURE
            jobs = [each.job for each in held]
            assert [job.messages[0].content for job in jobs] == [(PART,)] * 2
            each = [await stored(here.redis, job.client) for job in jobs]
            assert len({job.client for job in jobs}) == 2
            assert all(len(PICTURE) < size < len(PICTURE) + 1000 for size in each)
            assert int(await here.redis.hget(keys.totals, "bytes") or 0) == sum(each)  # type: ignore[misc]

            async def is_stored_once() -> bool:
                used: Any = await here.redis.info("memory")
                return bool(used["used_memory_dataset"] < 1.9 * len(PICTURE))

            # What has just come in is in Redis's buffers for a moment, too.
            await eventually(is_stored_once, "one copy of the picture")

            # and when
            for answering in held:
                await answering.say(Text("A cat."), Finished())
            answers = await asyncio.gather(*asked)

        # then
        assert [answer.status_code for answer in answers] == [200, 200]
        assert await blobs(here.redis) == set()
        assert await here.redis.hget(keys.totals, "bytes") == b"0"  # type: ignore[misc]


async def test_a_picture_that_is_there_is_not_sent_to_redis_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as here, here.gateway.http() as http:
        first = asyncio.create_task(here.worker.take(hold))
        one = asyncio.create_task(http.post(CHAT, json=asking(PICTURE)))
        answering = [await first]
        before: Any = await here.redis.info("stats")

        second = asyncio.create_task(here.worker.take(hold))
        two = asyncio.create_task(http.post(CHAT, json=asking(PICTURE)))
        answering.append(await second)
        after: Any = await here.redis.info("stats")
        for each in answering:
            await each.say(Text("A cat."), Finished())
        await asyncio.gather(one, two)

    grown = after["total_net_input_bytes"] - before["total_net_input_bytes"]
    assert grown < len(PICTURE) / 10


async def test_a_client_pays_for_its_pictures_as_for_the_rest(tmp_path: Path) -> None:
    async with rig(tmp_path, "maxStored = 5") as here, here.gateway.http() as http:
        taking = asyncio.create_task(here.worker.take(hold))
        asked = asyncio.create_task(http.post(CHAT, json=asking(PICTURE)))
        held = await taking

        refused = await http.post(CHAT, json=asking(PICTURE))
        await held.say(Text("A cat."), Finished())

        assert refused.status_code == 429
        assert (await asked).status_code == 200


async def test_an_idempotency_key_knows_its_picture(tmp_path: Path) -> None:
    async with rig(tmp_path) as here, here.gateway.http() as http:
        taking = asyncio.create_task(here.worker.take(hold))
        headers = {"idempotency-key": "one"}
        first = asyncio.create_task(http.post(CHAT, json=asking(PICTURE), headers=headers))
        held = await taking

        again = asyncio.create_task(http.post(CHAT, json=asking(PICTURE), headers=headers))
        other = await http.post(CHAT, json=asking(PICTURE[::-1]), headers=headers)
        await held.say(Text("A cat."), Finished())

        assert other.json()["error"]["code"] == "idempotency_key_reused"
        answers = [(await each).json()["choices"] for each in (first, again)]
        assert answers[0] == answers[1]
        assert await blobs(here.redis) == set()


# The worker's side.


async def ask(asking: Asking, *, keyed: bool = False) -> str:
    messages = (Message("user", "Hi"), Message("user", (PART,)))
    return await asking.ask("Roles", messages=messages, keyed=keyed, blobs={DIGEST: PICTURE})


async def test_a_bot_gets_the_content_of_a_blob_which_is_fetched_once(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with UploadDesk() as desk, SimulatedPoe() as poe:
        asking = Asking(redis)
        models = {"roles": ModelSettings(protocol="bot")}
        url = redis_server.url
        async with working(url, poe.url, token("sim-ann"), models=models, uploads_to=desk.url):
            await redis.config_resetstat()
            for _ in range(3):
                assert said(await asking.answer(await ask(asking)))
            stats: Any = await redis.info("stats")

    assert [upload.content for upload in desk.uploads] == [PICTURE]
    assert stats["total_net_output_bytes"] < 1.5 * len(PICTURE)


async def test_the_openai_api_gets_the_content_within_the_request(
    redis_server: RedisServer, redis: Redis
) -> None:
    async with SimulatedPoe() as poe:
        asking = Asking(redis)
        models = {"roles": ModelSettings(protocol="openai")}
        async with working(redis_server.url, poe.url, token("sim-ann"), models=models):
            answer = said(await asking.answer(await ask(asking)))

    assert f"data:image/png;base64,{b64encode(PICTURE).decode()}" in answer


@KINDS
async def test_a_job_whose_picture_redis_has_lost_fails_and_says_which(
    redis_server: RedisServer, redis: Redis, kind: Any
) -> None:
    async with UploadDesk() as desk, SimulatedPoe() as poe:
        asking = Asking(redis)
        job = await ask(asking)
        await redis.delete(keys.blob(DIGEST))
        models = {"roles": ModelSettings(protocol=kind)}
        url = redis_server.url
        async with working(url, poe.url, token("sim-ann"), models=models, uploads_to=desk.url):
            failed = failure(await asking.answer(job))

    assert failed.kind is FailureKind.UNAVAILABLE
    assert not failed.charged
    assert failed.message.startswith("Attachment 1 of message 2 ")
    assert not poe.record.calls


async def test_a_conversation_goes_through_a_real_gateway_and_a_real_worker(
    deployment: Any, redis: Redis
) -> None:
    poe = await deployment.start_poe(Settings(attachments="poe"))
    gateway = await deployment.start_gateway(ready=False)
    await deployment.start_worker(config='[models.roles]\nprotocol = "bot"')

    async with gateway.http() as http:
        for _ in range(3):
            answer = await http.post(CHAT, json=asking(PICTURE, model="Roles"))
            assert answer.status_code == 200, answer.text

    assert [(upload.form, upload.size) for upload in poe.record.uploads] == [("file", len(PICTURE))]
    assert await blobs(redis) == set()
