"""Runs the whole service on this machine against a simulated Poe: no key, no configuration."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import httpx
import msgspec

from admin.config import AdminConfig, digest_of
from contract.config import Given, Settings
from gateway.config import gateway_config
from gateway.listening import reached_at
from poe2gpt import embedded, ports
from poe2gpt.flags import Flags
from poe2gpt.programs import BACKING, Program, environment_without, module
from poe2gpt.serve import Stack, admin_url, start_stack
from poe2gpt.settings import SECRET_VARIABLES
from poe2gpt.supervisor import Supervisor
from poe2gpt.terminal import CommandError, say
from worker.config import worker_config

_KEY = "sk-demo"
_MODEL = "Count"
_USUAL_PORT = 3700
_ASKED = ("port", "host")
"""The only flags that the demo uses: it must never use real tokens."""

_TRY = """
Base URL  {url}/v1      API key  {key}      models  Echo, Count, Think, Long and more

curl -N {url}/v1/chat/completions -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "Think", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'

from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{key}")
question = [{{"role": "user", "content": "Hello"}}]
for chunk in client.chat.completions.create(model="Echo", messages=question, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)

Admin page  {admin}      login token  {token}
In another terminal  .venv/bin/poe2gpt tokens list{port}
                     .venv/bin/poe2gpt usage{port}

Logs are in {log}. Press Ctrl-C to end the demo.\
"""


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []


def demo(flags: Flags) -> int:
    """Run everything on simulated tokens until a signal, and return the exit status."""
    server = embedded.find_server()
    with embedded.temporary_directory() as data:
        stack = _stack(flags, ports.any_free(), embedded.made_keys(data))
        wanted, host = stack.gateway.port, stack.gateway.host
        port = ports.next_free(host, wanted)
        if port != wanted:
            say(f"port {wanted} is in use, so the demo uses {port}")
        token = secrets.token_hex(12)
        stack = msgspec.structs.replace(
            stack,
            gateway=msgspec.structs.replace(stack.gateway, port=port),
            admin=AdminConfig(
                admin_port=_admin_port(port),
                admin_token=digest_of(token),
                gateway_url=reached_at(host, port),
            ),
            log=data.directory / "demo.log",
        )
        with embedded.found_at(port, data):
            return asyncio.run(_run(stack.on(data.url), server, data, token))


def _admin_port(port: int) -> int:
    """Return a free port for the admin page: the one after the gateway's, if there is such a one.

    So two demos that start at once on different ports do not want the same.
    """
    return ports.next_free("127.0.0.1", port + 1) if port < 65_535 else ports.any_free()


def _stack(flags: Flags, poe_port: int, keys: dict[str, str]) -> Stack:
    values = {
        **keys,
        "tokens": ["sim-one", "sim-two"],
        "accessTokens": [_KEY],
        "host": "127.0.0.1",
        "coolDown": 0.5,
        # The page shows soon what is left.
        "reconcileEvery": 5,
        "poeUrl": f"http://127.0.0.1:{poe_port}",
        # Nobody wants to wait when a demo ends.
        "drainTimeout": 5,
    }
    asked = {key: flags.given.values[key] for key in _ASKED if key in flags.given.values}
    settings = Settings(
        Given(values, {key: f"the demo's {key}" for key in values}),
        Given(asked, flags.given.names),
    )
    (gateway, _), (worker, _) = gateway_config(settings), worker_config(settings)
    return Stack(gateway, worker, flags.workers, environment_without(SECRET_VARIABLES))


async def _run(stack: Stack, server: str, data: embedded.DataDirectory, token: str) -> int:
    supervisor = Supervisor(stack.gateway.drain_timeout)

    async def startup() -> None:
        redis = supervisor.start(embedded.program(server, data))
        supervisor.start(_simulated_poe(stack))
        await embedded.until_ready(redis, data)
        await start_stack(stack, supervisor)
        url = reached_at(stack.gateway.host, stack.gateway.port)
        print(f"The model {_MODEL} answers, streamed:\n", flush=True)
        try:
            async for text in _answer(url):
                print(text, end="", flush=True)
        except httpx.HTTPError as error:
            raise CommandError(f"the connection broke during the first answer: {error!r}") from None
        assert stack.admin is not None  # noqa: S101  # the demo always has one
        port = "" if stack.gateway.port == _USUAL_PORT else f" --port {stack.gateway.port}"
        values = {"url": url, "key": _KEY, "log": stack.log, "token": token, "port": port}
        print("\n" + _TRY.format(admin=admin_url(stack.admin), **values), flush=True)

    return await supervisor.run(startup())


def _simulated_poe(stack: Stack) -> Program:
    port = stack.worker.poe_url.rpartition(":")[2]
    return Program(
        name="simulated Poe",
        argv=(*module("simulated_poe"), "--port", port),
        environment=stack.environment,
        log=stack.log,
        stage=BACKING,
    )


async def _answer(url: str) -> AsyncIterator[str]:
    question = {
        "model": _MODEL,
        "stream": True,
        "messages": [{"role": "user", "content": "Count to 20, one every 100 ms."}],
    }
    headers = {"Authorization": f"Bearer {_KEY}"}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream(
            "POST", f"{url}/v1/chat/completions", json=question, headers=headers
        ) as response,
    ):
        if response.status_code != 200:
            raise CommandError(f"the first answer failed: {(await response.aread()).decode()}")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                chunk = msgspec.json.decode(line.removeprefix("data: "), type=_Chunk)
                for choice in chunk.choices:
                    yield choice.delta.content or ""
