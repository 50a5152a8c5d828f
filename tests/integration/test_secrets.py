"""Canaries in every cage: Poe tokens, access tokens, Redis's password, prompts.

A deployment lives through everything that can happen to it, and then all that it has left
anywhere is searched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from admin.screens import SCREENS
from contract.lifetimes import ANSWER_LIFE
from contract.stored_keys import may_be_secret
from simulated_poe import Call, SimulatedPoe
from tests.support.admin_page import LOGIN, admin_page
from tests.support.deployment import Child, Deployment, eventually, running_redis
from tests.support.gateway_alone import CHAT, asking, spoken
from tests.support.keys import keys

TOKEN = "canary-token-0123456789"
"""Part of each Poe token; how it begins tells the simulated Poe what it is worth."""
TOKENS = [f"sim-{worth}-{TOKEN}" for worth in ("good1", "good2", "bad", "broke")]
ACCESS = "sk-canary-access-0123456789"
WRONG = "sk-canary-wrong-0123456789"
PASSWORD = "canary-password-0123456789"
PROMPT = "canary-prompt-of-the-client"

BOTS = [
    "Echo",
    "Count",
    "Think",
    "Draw",
    "Empty",
    "Nodone",
    "Cut-2",
    "Flaky-500",
    *(f"Garbage-{kind}" for kind in ("json", "utf8", "type", "html")),
    *(f"Fail-{status}" for status in ("400", "403", "404", "413", "500", "529", "html", "late")),
]

WORKER = """
rateLimit = 1000
coolDown = 0
leaseLife = 1
reconcileEvery = 0.5
"""

BROKEN = b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n%%b\r\n\r\n" % (
    CHAT.encode(),
    ACCESS.encode(),
)

GATEWAY = 'accessTokens = ["env:ACCESS_TOKENS"]'


@dataclass
class Remains:
    """What can be looked at from outside, by where it was found."""

    seen: dict[str, bytes] = field(default_factory=dict)
    """Logs, answers, command lines, environments, and what Redis has on its disk."""
    gateways: dict[str, bytes] = field(default_factory=dict)
    """Their memory."""
    workers: dict[str, bytes] = field(default_factory=dict)
    admins: dict[str, bytes] = field(default_factory=dict)
    stored: str = ""
    """The secret of a key that was made on the admin page, which has shown it once."""
    redis: dict[str, bytes] = field(default_factory=dict)
    """Each key with all that it holds."""
    lives: dict[str, float] = field(default_factory=dict)
    """Seconds until Redis drops a key; negative: it keeps it."""
    statuses: set[int] = field(default_factory=set)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def remains(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Remains]:
    directory = tmp_path_factory.mktemp("secrets")
    found = Remains()
    with pytest.MonkeyPatch.context() as patch:
        # Every process is offered what only workers may take.
        patch.setenv("POE_TOKENS", ",".join(TOKENS))
        patch.setenv("ACCESS_TOKENS", ACCESS)
        async with running_redis() as server:
            async with Redis.from_url(server.url) as redis:
                # Otherwise what Redis dumps is compressed, and nothing would be found.
                await redis.config_set("rdbcompression", "no")
                await redis.config_set("requirepass", PASSWORD)
            server.url = server.url.replace("//", f"//:{PASSWORD}@")
            deployment = Deployment(directory, server)
            try:
                poe = await deployment.start_poe()
                async with Redis.from_url(server.url) as redis:
                    await live(deployment, poe, redis, found)
            finally:
                await deployment.close()
    yield found


async def live(deployment: Deployment, poe: SimulatedPoe, redis: Redis, found: Remains) -> None:
    tokens = ",".join(TOKENS)
    crashing = await deployment.start_worker(config=WORKER, tokens=tokens)
    gateway = await deployment.start_gateway(config=GATEWAY)
    async with gateway.http(ACCESS) as http:
        await ask_everything(http, found)
        asked = asyncio.create_task(ask(http, found, "Count", f"{PROMPT} 40 every 50ms"))
        await eventually(lambda: any(call.characters for call in running(poe)), "the call")
        crashing.send(signal.SIGABRT)
        worker = await deployment.start_worker(config=WORKER, tokens=tokens)
        await asked
        await ask(http, found, "Echo")
        await eventually(lambda: redis.exists(keys.corrected), "what was reconciled")
        await misconfigure(deployment.directory, found)
        found.seen["metrics"] = (await http.get("/metrics")).content
        await administer(deployment, http, found)
    for rest in ("Content-Length: -1", f"X: {PROMPT}\0", "Transfer-Encoding: chunked\r\n\r\nzz"):
        found.seen[f"answer to {rest!r}"] = await spoken(gateway, BROKEN % rest.encode())

    found.gateways["gateway"] = memory(gateway.child)
    found.workers["worker"] = memory(worker)
    for name, child in (("gateway", gateway.child), ("worker", worker)):
        for what in ("cmdline", "environ"):
            found.seen[f"{what} of the {name}"] = shown(child, what)

    async for key in redis.scan_iter(count=1000):
        name = key.decode()
        found.redis[name] = key + (await redis.dump(key) or b"")
        found.lives[name] = await redis.pttl(key) / 1000
    gateway.child.send(signal.SIGABRT)
    await gateway.child.process.wait()
    await worker.stop()
    for child in deployment.children:
        found.seen[f"log {child.log.name}"] = child.log.read_bytes()
    assert deployment.redis.child
    place = deployment.redis.child.log
    found.seen["log of Redis"] = place.read_bytes()
    for file in (place.parent / "appendonlydir").iterdir():
        found.redis[f"file {file.name}"] = file.read_bytes()


async def administer(deployment: Deployment, http: httpx.AsyncClient, found: Remains) -> None:
    """Make a key on the admin page, ask with it, and look at every page."""
    running = admin_page(deployment.directory, deployment.redis.url)
    async with running as admin, admin.operator() as operator:
        path, fresh = await operator.do("/keys/new", name="canary")
        found.stored = fresh.split('<code id="secret">')[1].split("<")[0]
        await ask(http, found, "Echo", key=found.stored)
        screens = [screen.place.path for screen in SCREENS]
        for each in (*screens, "/now/parts", "/usage.csv", path, f"{path}/rotate"):
            found.seen[f"page {each}"] = (await operator.http.get(each)).content
        found.admins["admin"] = memory(admin.child)
        for what in ("cmdline", "environ"):
            found.seen[f"{what} of the admin service"] = shown(admin.child, what)
    deployment.children.append(admin.child)


async def ask_everything(http: httpx.AsyncClient, found: Remains) -> None:
    both = [(bot, stream) for bot in BOTS for stream in (False, True)]
    await asyncio.gather(*(ask(http, found, bot, stream=stream) for bot, stream in both))
    await ask(http, found, "Unknown")
    await ask(http, found, "Echo", key=WRONG)
    await ask(http, found, "Echo", temperature=PROMPT)
    await ask(http, found, "Echo", messages=PROMPT)


async def ask(
    http: httpx.AsyncClient,
    found: Remains,
    bot: str,
    text: str = f"{PROMPT} 3",
    key: str = ACCESS,
    **more: object,
) -> None:
    """Ask, and note all that is answered but the answer."""
    headers = {"authorization": f"Bearer {key}"}
    answer = await http.post(CHAT, json=asking(text, **{"model": bot, **more}), headers=headers)
    found.statuses.add(answer.status_code)
    said = answer.content if answer.status_code != 200 else errors_of(answer.text)
    found.seen[f"answer of {bot} {more} {len(found.seen)}"] = said + repr(answer.headers).encode()


def errors_of(stream: str) -> bytes:
    return "".join(re.findall(r'^data: \{"error.*', stream, re.MULTILINE)).encode()


def running(poe: SimulatedPoe) -> list[Call]:
    return [call for call in poe.record.calls if call.ended is None]


async def misconfigure(directory: Path, found: Remains) -> None:
    mistakes = {
        "gateway": f'accessTokens = [{{ key = "{ACCESS}", weight = 0 }}]',
        "worker": f'tokens = ["{TOKEN} {TOKEN}"]',
        "serve": f'redisUrl = "http://{PASSWORD}@x"',
    }

    async def told(command: str, mistake: str) -> None:
        file = directory / f"wrong-{command}.toml"
        file.write_text(mistake)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "poe2gpt", command, "--config", str(file)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "POE_TOKENS": "", "ACCESS_TOKENS": ""},
        )
        found.seen[f"{command}, told {mistake!r}"], _ = await process.communicate()
        assert process.returncode

    await asyncio.gather(*(told(*each) for each in mistakes.items()))


def shown(child: Child, what: str) -> bytes:
    """What the kernel tells everyone of a process."""
    return Path(f"/proc/{child.pid}/{what}").read_bytes()


def memory(child: Child) -> bytes:
    """All that a process can write to, and so all that it can know."""
    maps = Path(f"/proc/{child.pid}/maps").read_text()
    found = []
    with Path(f"/proc/{child.pid}/mem").open("rb", buffering=0) as held:
        for start, end in re.findall(r"^(\w+)-(\w+) rw", maps, re.MULTILINE):
            # A region may have gone since, and a guard page cannot be read.
            with contextlib.suppress(OSError):
                held.seek(int(start, 16))
                found.append(held.read(int(end, 16) - int(start, 16)))
    return b"".join(found)


def where(secret: str, *places: dict[str, bytes]) -> list[str]:
    """The places that hold a secret."""
    return [name for place in places for name, held in place.items() if secret.encode() in held]


def test_it_has_seen_everything(remains: Remains) -> None:
    assert {200, 400, 401, 402, 404, 429, 502, 503} & remains.statuses >= {200, 400, 401, 404, 502}
    logs = b"".join(held for name, held in remains.seen.items() if name.startswith("log"))
    assert b"is set aside" in logs
    assert b"interrupted" in logs
    assert where(PROMPT, remains.redis)
    assert len(remains.redis) > 10


def test_a_poe_token_is_in_the_workers_memory_and_nowhere_else(remains: Remains) -> None:
    assert where(TOKEN, remains.workers) == ["worker"]
    assert where(TOKEN, remains.gateways, remains.admins, remains.seen, remains.redis) == []


@pytest.mark.parametrize("key", [ACCESS, WRONG])
def test_an_access_token_never_leaves_the_gateway(remains: Remains, key: str) -> None:
    assert where(key, remains.workers, remains.admins, remains.seen, remains.redis) == []


def test_a_stored_key_and_the_login_token_are_nowhere_to_be_read(remains: Remains) -> None:
    assert may_be_secret(remains.stored)
    assert where("canary", {name: remains.seen[name] for name in ("page /keys", "page /usage")})
    assert where(remains.stored, remains.workers, remains.seen, remains.redis) == []
    assert where(LOGIN, remains.workers, remains.gateways, remains.seen, remains.redis) == []


def test_the_password_of_redis_is_nowhere_to_be_read(remains: Remains) -> None:
    assert where(PASSWORD, remains.gateways, remains.workers) == ["gateway", "worker"]
    assert where(PASSWORD, remains.seen, remains.redis) == []


def test_a_prompt_is_in_redis_only_and_not_for_long(remains: Remains) -> None:
    assert where(PROMPT, remains.seen) == []
    kept = [name for name in where(PROMPT, remains.redis) if name in remains.lives]
    assert kept
    assert all(0 < remains.lives[name] <= ANSWER_LIFE for name in kept), kept
