"""Attachments on their way to Poe: what is uploaded, how often, and what goes wrong."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from redis.asyncio import Redis

from contract.config import ModelSettings
from contract.messages import FailureKind, Finished, Job, MediaPart, Message, TextPart
from simulated_poe import Settings, SimulatedPoe
from tests.support.deployment import RedisServer, eventually
from tests.support.keys import keys
from tests.support.upload_desk import UploadDesk
from tests.support.worker_alone import Asking, failure, said, token, tokens_of, working
from worker import uploads as worker_uploads
from worker.poe import uploads as poe_uploads
from worker.poe.attachments import Attachment
from worker.poe.client import PoeClient
from worker.poe.faults import Fault, FaultKind
from worker.poe.uploads import upload_url
from worker.queue import Queue
from worker.uploads import DATA_LIFE, LINK_LIFE, Uploads

PIXELS = b"\x89PNG not quite"
CAT = MediaPart("image", "data:image/png;base64," + base64.b64encode(PIXELS).decode())
DOG = MediaPart("image", "https://example.com/a%20dog.jpg?size=2")
POES_OWN = MediaPart("image", "https://pfst.cf2.poecdn.net/base/image/5ca1ab1e?w=1")
BOTS = {name: ModelSettings(protocol="bot") for name in ("echo", "flaky", "roles")}
ANN, BOB = token("sim-ann"), token("sim-bob")


def job(*parts: MediaPart) -> Job:
    messages = (Message("user", "Hi"), Message("user", (TextPart("Look."), *parts)))
    return Job("j1", "c1", "Roles", messages)


def picture(number: int) -> MediaPart:
    """One that is like no other."""
    return MediaPart("image", f"https://example.com/{number}.png")


@pytest.fixture
async def desk() -> AsyncIterator[UploadDesk]:
    async with UploadDesk() as desk:
        yield desk


@pytest.fixture
async def poe() -> AsyncIterator[SimulatedPoe]:
    async with SimulatedPoe(Settings(attachments="poe")) as poe:
        yield poe


@pytest.fixture
async def client(desk: UploadDesk) -> AsyncIterator[PoeClient]:
    url = "http://127.0.0.1:1"
    async with PoeClient(url, max_connections=100, uploads_to=desk.url) as client:
        yield client


@pytest.fixture
async def queue(redis_server: RedisServer, redis: Redis) -> AsyncIterator[Queue]:
    async with Queue(redis_server.url, "w1", lease_life=1.0, max_attempts=2) as queue:
        yield queue


@pytest.fixture
def uploads(queue: Queue, client: PoeClient) -> Uploads:
    return Uploads(queue.uploads, queue.blobs, client)


# What is uploaded.


async def test_data_is_uploaded_as_a_file_under_the_bare_key(
    uploads: Uploads, desk: UploadDesk
) -> None:
    made = await uploads.attachments(job(CAT), ANN)

    (upload,) = desk.uploads
    assert upload.authorization == "sim-ann"
    assert upload.form == "multipart/form-data"
    assert (upload.name, upload.media_type, upload.content) == ("image.png", "image/png", PIXELS)
    assert made == {
        CAT: Attachment("https://pfst.cf2.poecdn.net/base/1", "image/webp", "image.png")
    }


async def test_what_a_url_names_is_left_for_poe_to_fetch(
    uploads: Uploads, desk: UploadDesk
) -> None:
    made = await uploads.attachments(job(DOG), ANN)

    (upload,) = desk.uploads
    assert upload.authorization == "sim-ann"
    assert upload.form == "application/x-www-form-urlencoded"
    assert (upload.name, upload.content) == ("a dog.jpg", DOG.url.encode())
    assert made[DOG].name == "a dog.jpg"


async def test_a_file_of_poes_own_is_not_uploaded(uploads: Uploads, desk: UploadDesk) -> None:
    made = await uploads.attachments(job(POES_OWN), ANN)

    assert made == {POES_OWN: Attachment(POES_OWN.url, "image/png", "5ca1ab1e")}
    assert desk.uploads == []


async def test_files_of_all_sizes_arrive_whole(uploads: Uploads, desk: UploadDesk) -> None:
    sizes = [0, 1, 65_536, 3_000_001]
    parts = [
        MediaPart("file", "data:;base64," + base64.b64encode(bytes(n)).decode()) for n in sizes
    ]

    await uploads.attachments(job(*parts), ANN)

    assert [len(upload.content) for upload in desk.uploads] == sizes


async def test_a_name_cannot_break_out_of_the_form(uploads: Uploads, desk: UploadDesk) -> None:
    name = 'a"\r\nX-Evil: 1\r\n\r\n.txt'

    await uploads.attachments(job(MediaPart("file", "data:text/plain,hi", name=name)), ANN)

    (upload,) = desk.uploads
    assert upload.content == b"hi"
    assert "\r" not in upload.name


def test_uploads_go_where_poe_takes_them_or_to_what_stands_in_for_it() -> None:
    path = "/poe_api/file_upload_3RD_PARTY_POST"

    assert upload_url("https://api.poe.com") == f"https://www.quora.com{path}"
    assert upload_url("http://127.0.0.1:9") == f"http://127.0.0.1:9{path}"


# How often.


async def test_the_same_content_is_uploaded_once_for_an_account(
    redis_server: RedisServer, uploads: Uploads, client: PoeClient, desk: UploadDesk
) -> None:
    renamed = MediaPart("image", CAT.url, name="cat.png")

    first = await uploads.attachments(job(CAT, DOG), ANN)
    async with Queue(redis_server.url, "w2", lease_life=1.0, max_attempts=2) as other:
        second = await Uploads(other.uploads, other.blobs, client).attachments(
            job(renamed, DOG), ANN
        )

    assert len(desk.uploads) == 2
    assert second[DOG] == first[DOG]
    assert (second[renamed].url, second[renamed].name) == (first[CAT].url, "cat.png")


async def test_another_account_uploads_for_itself(uploads: Uploads, desk: UploadDesk) -> None:
    anns = await uploads.attachments(job(CAT), ANN)
    bobs = await uploads.attachments(job(CAT), BOB)

    assert [upload.authorization for upload in desk.uploads] == ["sim-ann", "sim-bob"]
    assert anns[CAT].url != bobs[CAT].url


async def test_the_same_part_twice_in_a_request_is_one_upload(
    uploads: Uploads, desk: UploadDesk
) -> None:
    await uploads.attachments(job(CAT, CAT), ANN)

    assert len(desk.uploads) == 1


async def test_equal_uploads_at_the_same_time_are_made_once(
    redis: Redis, uploads: Uploads, desk: UploadDesk
) -> None:
    desk.open.clear()
    asking = [asyncio.create_task(uploads.attachments(job(CAT), ANN)) for _ in range(3)]

    async def all_have_looked() -> bool:
        stats: dict[str, Any] = await redis.info("commandstats")
        return bool(stats.get("cmdstat_mget", {}).get("calls") == 3)

    await redis.config_resetstat()
    await eventually(all_have_looked, "three looks at what is known")
    desk.open.set()
    made = await asyncio.gather(*asking)

    assert len(desk.uploads) == 1
    assert made[0] == made[1] == made[2]


async def test_two_accounts_do_not_wait_for_one_upload(uploads: Uploads, desk: UploadDesk) -> None:
    desk.open.clear()
    asking = [asyncio.create_task(uploads.attachments(job(CAT), each)) for each in (ANN, BOB)]

    await eventually(lambda: len(desk.uploads) == 2, "both uploads")
    desk.open.set()
    anns, bobs = await asyncio.gather(*asking)

    assert anns[CAT].url != bobs[CAT].url


async def test_what_is_forgotten_is_uploaded_anew(uploads: Uploads, desk: UploadDesk) -> None:
    await uploads.attachments(job(CAT, POES_OWN), ANN)
    await uploads.attachments(job(CAT), BOB)

    await uploads.forget(job(CAT, POES_OWN), ANN)
    await uploads.attachments(job(CAT), ANN)
    await uploads.attachments(job(CAT), BOB)

    assert [upload.authorization for upload in desk.uploads] == ["sim-ann", "sim-bob", "sim-ann"]


async def test_redis_keeps_no_content_and_nothing_for_ever(uploads: Uploads, redis: Any) -> None:
    await uploads.attachments(job(CAT, DOG), ANN)

    lives = []
    for key in await redis.keys("*"):
        value = await redis.get(key)
        assert b"example.com" not in key + value
        assert base64.b64encode(PIXELS)[:8] not in key + value
        assert b"sim-ann" not in value
        lives.append(await redis.ttl(key))
    assert sorted(lives) == pytest.approx([LINK_LIFE, DATA_LIFE], abs=30)


# Leaving.


async def test_a_job_that_leaves_does_not_stop_the_upload_of_another(
    redis: Redis, uploads: Uploads, desk: UploadDesk
) -> None:
    desk.open.clear()
    leaver = asyncio.create_task(uploads.attachments(job(CAT), ANN))
    await eventually(lambda: desk.uploads, "the upload")
    stayer = asyncio.create_task(uploads.attachments(job(CAT), ANN))

    async def both_have_looked() -> bool:
        stats: dict[str, Any] = await redis.info("commandstats")
        return bool(stats["cmdstat_mget"]["calls"] >= 2)

    await eventually(both_have_looked, "both looks at what is known")
    leaver.cancel()
    await asyncio.wait([leaver])
    desk.open.set()

    assert leaver.cancelled()
    assert (await stayer)[CAT].url.endswith("/1")
    assert len(desk.uploads) == 1


async def test_an_upload_that_nobody_waits_for_any_more_is_dropped(
    uploads: Uploads, desk: UploadDesk
) -> None:
    desk.open.clear()
    asking = asyncio.create_task(uploads.attachments(job(CAT), ANN))
    await eventually(lambda: desk.uploads, "the upload")

    asking.cancel()
    await eventually(lambda: desk.uploads[0].is_dropped, "the end of its connection")
    desk.open.set()

    assert (await uploads.attachments(job(CAT), ANN))[CAT].url.endswith("/2")


# What goes wrong.


def reply(status: int, text: str = "", **headers: str) -> web.Response:
    return web.Response(status=status, text=text, headers=headers)


def error(message: str) -> str:
    return json.dumps({"error": {"message": message}})


PLACE = "Attachment 1 of message 2 could not be uploaded."


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        pytest.param(
            reply(400, error("The file is a virus.")),
            FaultKind.BAD_REQUEST,
            f"{PLACE} The file is a virus.",
            id="400",
        ),
        pytest.param(
            reply(404, error("gone")),
            FaultKind.BAD_REQUEST,
            f"{PLACE} The upstream rejected this request as invalid.",
            id="404",
        ),
        pytest.param(
            reply(413, error("Too large.")), FaultKind.BAD_REQUEST, f"{PLACE} Too large.", id="413"
        ),
        pytest.param(
            reply(403, error("content policy")),
            FaultKind.CONTENT_REFUSED,
            f"{PLACE} content policy",
            id="moderation",
        ),
        pytest.param(
            reply(401),
            FaultKind.BAD_KEY,
            "The upstream rejected the credentials of this service.",
            id="401",
        ),
        pytest.param(
            reply(429, **{"Retry-After": "7"}),
            FaultKind.RATE_LIMITED,
            "The upstream's rate limit is reached.",
            id="429",
        ),
        pytest.param(
            reply(500, error("sim-ann broke it")),
            FaultKind.UPSTREAM_DOWN,
            f"{PLACE} The upstream failed to answer.",
            id="500",
        ),
        pytest.param(
            reply(403, "<html>Quora</html>"),
            FaultKind.UPSTREAM_DOWN,
            f"{PLACE} The upstream failed to answer.",
            id="a page of Quora's",
        ),
        pytest.param(
            reply(200, "<html>Hello</html>"),
            FaultKind.PROTOCOL,
            f"{PLACE} The upstream sent something that is not an answer.",
            id="200 and a page",
        ),
        pytest.param(
            reply(200, '{"attachment_url": null}'),
            FaultKind.PROTOCOL,
            f"{PLACE} The upstream sent something that is not an answer.",
            id="200 and no URL",
        ),
        pytest.param(
            reply(302, Location="https://example.com"),
            FaultKind.PROTOCOL,
            f"{PLACE} The upstream sent something that is not an answer.",
            id="a redirection",
        ),
        pytest.param(
            reply(400, error("The key sim-ann is odd.")),
            FaultKind.BAD_REQUEST,
            f"{PLACE} The key [token] is odd.",
            id="a key in the text",
        ),
    ],
)
async def test_a_refused_upload_says_whose_fault_it_is(
    uploads: Uploads, desk: UploadDesk, answer: web.Response, kind: FaultKind, message: str
) -> None:
    desk.replies.append(answer)

    with pytest.raises(Fault) as caught:
        await uploads.attachments(job(CAT), ANN)

    assert caught.value.kind is kind
    assert caught.value.message == message
    assert not caught.value.sent
    assert caught.value.retry_after == (7 if kind is FaultKind.RATE_LIMITED else None)
    assert (await uploads.attachments(job(CAT), ANN))[CAT].url.endswith("/2")


async def test_nobody_at_the_desk_is_the_upstreams_fault(queue: Queue) -> None:
    async with PoeClient("http://127.0.0.1:1", max_connections=1) as client:
        with pytest.raises(Fault, match="could not be uploaded") as caught:
            await Uploads(queue.uploads, queue.blobs, client).attachments(job(CAT), ANN)

    assert caught.value.kind is FaultKind.UNREACHABLE


async def test_an_upload_has_an_end(
    uploads: Uploads, desk: UploadDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poe_uploads, "UPLOAD_TIME", 0.05)
    desk.open.clear()

    with pytest.raises(Fault, match="could not be uploaded") as caught:
        await uploads.attachments(job(CAT), ANN)

    assert caught.value.kind is FaultKind.TIMEOUT


async def test_all_uploads_of_a_job_have_one_end(
    uploads: Uploads, desk: UploadDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_uploads, "TOTAL_TIME", 0.05)
    desk.open.clear()
    asked = job(CAT, DOG)

    for _ in range(3):
        with pytest.raises(Fault, match="could not be uploaded within") as caught:
            await uploads.attachments(asked, ANN)

    assert caught.value.kind is FaultKind.BAD_REQUEST
    assert len(desk.uploads) <= 1


async def test_one_client_cannot_take_all_places_for_uploads(
    uploads: Uploads, desk: UploadDesk
) -> None:
    desk.open.clear()
    slow = [
        asyncio.create_task(uploads.attachments(job(picture(n)), ANN))
        for n in range(worker_uploads.MOST_OF_CLIENT)
    ]
    await eventually(lambda: len(desk.uploads) == len(slow), "the uploads")

    with pytest.raises(worker_uploads.Crowded):
        await uploads.attachments(job(CAT), ANN)
    other = asyncio.create_task(
        uploads.attachments(msgspec.structs.replace(job(CAT), client="another"), ANN)
    )
    await eventually(lambda: len(desk.uploads) == len(slow) + 1, "the other's upload")
    desk.open.set()

    assert [len(made) for made in await asyncio.gather(*slow, other)] == [1] * (len(slow) + 1)


async def test_malformed_data_never_leaves(uploads: Uploads, desk: UploadDesk) -> None:
    odd = MediaPart("image", "data:image/png;base64,A!A")

    with pytest.raises(Fault) as caught:
        await uploads.attachments(job(POES_OWN, odd), ANN)

    assert caught.value.kind is FaultKind.BAD_REQUEST
    expected = "Attachment 2 of message 2 could not be uploaded. Its base64 is malformed."
    assert caught.value.message == expected
    assert desk.uploads == []


# With a worker.


async def test_bots_are_asked_with_what_was_uploaded(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis
) -> None:
    asking = Asking(redis)
    async with working(redis_server.url, poe.url, ANN, models=BOTS):
        events = await asking.answer(await asking.ask("Roles", messages=job(CAT, DOG).messages))

    received = json.loads(said(events))
    hi, look = received["query"]
    assert "attachments" not in hi
    cat, dog = look["attachments"]
    assert (cat["name"], cat["content_type"]) == ("image.png", "image/png")
    assert (dog["name"], dog["content_type"]) == ("a dog.jpg", "image/jpeg")
    assert "poecdn.net" in cat["url"]
    assert "poecdn.net" in dog["url"]


async def test_two_jobs_with_the_same_image_upload_it_once(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    asking = Asking(redis)
    async with working(redis_server.url, poe.url, ANN, models=BOTS, uploads_to=desk.url):
        for _ in range(2):
            events = await asking.answer(await asking.ask("Echo", messages=job(CAT).messages))
            assert events[-1] == Finished()

    assert len(desk.uploads) == 1


async def test_a_key_that_may_not_upload_is_exchanged(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    asking = Asking(redis)
    desk.replies.append(reply(401))
    async with working(redis_server.url, poe.url, ANN, BOB, models=BOTS, uploads_to=desk.url):
        events = await asking.answer(await asking.ask("Echo", messages=job(CAT).messages))

    used = [upload.authorization for upload in desk.uploads]
    assert sorted(used) == ["sim-ann", "sim-bob"]
    assert tokens_of(events) == used[1:]
    assert events[-1] == Finished()
    # Its balance can be had, so of calls the refusal says nothing.
    assert not await asking.redis.exists(keys.token(f"id-{used[0]}"))


async def test_a_job_that_fails_over_takes_no_file_of_another_account(
    redis_server: RedisServer, redis: Redis
) -> None:
    asking = Asking(redis)
    bad, good = token("sim-broke"), token("sim-good")
    async with (
        SimulatedPoe(Settings(attachments="own")) as poe,
        working(redis_server.url, poe.url, bad, good, models=BOTS),
    ):
        answers = [
            await asking.answer(await asking.ask("Echo", messages=job(CAT, DOG).messages))
            for _ in range(2)
        ]

        uploads = Counter(upload.account for upload in poe.record.uploads)

    assert [events[-1] for events in answers] == [Finished()] * 2
    assert "sim-broke" in {call.key for call in poe.record.calls}
    assert list(uploads.values()) == [2, 2]


async def test_a_refused_file_fails_the_job_before_any_query(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    asking = Asking(redis)
    desk.replies.append(reply(400, error("The file is a virus.")))
    async with working(redis_server.url, poe.url, ANN, models=BOTS, uploads_to=desk.url):
        failed = failure(await asking.answer(await asking.ask("Echo", messages=job(CAT).messages)))

    assert failed.kind is FailureKind.INVALID_REQUEST
    assert failed.message == f"{PLACE} The file is a virus."
    assert not failed.charged
    assert list(poe.record.calls) == []


async def test_an_upload_is_tried_again(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    asking = Asking(redis)
    desk.replies.append(reply(500))
    one = token("sim-one", max_in_flight=1)
    async with working(redis_server.url, poe.url, one, models=BOTS, uploads_to=desk.url):
        events = await asking.answer(await asking.ask("Echo", messages=job(CAT).messages))

    assert events[-1] == Finished()
    assert len(desk.uploads) == 2


async def test_after_a_failed_call_the_files_are_uploaded_anew(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    asking = Asking(redis)
    async with working(redis_server.url, poe.url, ANN, models=BOTS, uploads_to=desk.url):
        events = await asking.answer(await asking.ask("Flaky", messages=job(CAT).messages))

    assert said(events) == "Look."
    assert len(desk.uploads) == 2


async def test_no_key_waits_for_a_slow_upload(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    # Given a key with one slot, and files that do not arrive
    asking = Asking(redis)
    desk.open.clear()
    one = token("sim-one", max_in_flight=1)
    async with working(redis_server.url, poe.url, one, models=BOTS, uploads_to=desk.url):
        slow = [
            await asking.ask("Echo", messages=job(picture(n)).messages, client=f"c{n}")
            for n in range(3)
        ]
        await eventually(lambda: len(desk.uploads) == 3, "the uploads")

        # When others ask without files
        quick = [await asking.answer(await asking.ask("Echo", f"{n}")) for n in range(3)]
        desk.open.set()
        answers = [await asking.answer(each) for each in slow]

    # Then the key is theirs until the files are there
    assert [said(events) for events in quick] == ["0", "1", "2"]
    assert [events[-1] for events in answers] == [Finished()] * 3
    assert len(desk.uploads) == 3
    assert max(account.most_in_flight for account in poe.record.accounts.values()) == 1


async def test_who_has_uploaded_is_served_before_new_jobs_of_a_busy_key(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    asking = Asking(redis)
    desk.open.clear()
    one = token("sim-one", max_in_flight=1)
    async with working(redis_server.url, poe.url, one, models=BOTS, uploads_to=desk.url):
        slow = await asking.ask("Echo", messages=job(CAT).messages)
        await eventually(lambda: desk.uploads, "the upload")
        running = [await asking.ask("Count", "count to 20 every 20ms") for _ in range(20)]
        await asking.begun(running[0])
        desk.open.set()

        events = await asking.answer(slow)
        ended = [job for job in running if await asking.state(job) == "done"]

    assert events[-1] == Finished()
    assert len(ended) <= 3


async def test_a_client_that_leaves_ends_the_upload_and_frees_the_token(
    redis_server: RedisServer, poe: SimulatedPoe, redis: Redis, desk: UploadDesk
) -> None:
    asking = Asking(redis)
    one = token("sim-one", max_in_flight=1)
    desk.open.clear()
    async with working(redis_server.url, poe.url, one, models=BOTS, uploads_to=desk.url):
        asked = await asking.ask("Echo", messages=job(CAT).messages)
        await eventually(lambda: desk.uploads, "the upload")

        await asking.cancel(asked)
        await eventually(lambda: desk.uploads[0].is_dropped, "the end of its connection")

        assert failure(await asking.answer(asked)).kind is FailureKind.CANCELLED
        assert said(await asking.answer(await asking.ask("Echo", "next"))) == "next"
    assert len(poe.record.calls) == 1
