"""The gateways to compare: poe2gpt, nginx as the lower bound, and other projects' gateways."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import upstream
from bench.load import Target
from bench.upstream import Load
from tests.support import deployment
from tests.support.deployment import (
    KEY,
    Child,
    Deployment,
    RedisServer,
    eventually,
    free_port,
    running_redis,
    spawn,
)

LIMITS = "rateLimit = 10000\ncoolDown = 0\nmaxInFlight = 1000"
"""poe2gpt's settings: only the account's limits differ from the defaults, or they would be what is
measured."""

VENV = Path(__file__).parent.parent / ".venv-bench"
"""Where `make bench` installs the peers from PyPI."""
NODE = Path(__file__).with_name("node")
"""Where it installs the peer from npm."""


PATIENCE = deployment.PATIENCE = 120.0
"""Seconds within which a peer must start: on a busy machine, LiteLLM imports for half a minute."""

LITELLM_KEY = "sk-bench-6f1c0d4e8a2b4975"


class Missing(Exception):
    """A peer cannot be run on this machine; the message says why."""


@dataclass
class Peer:
    """A running gateway."""

    name: str
    target: Target
    parts: dict[str, list[int]] = field(default_factory=dict)
    """Its process ids, by component."""
    is_slow: bool = False
    """Whether it takes so long for a request that rows of thousands at once would not end."""

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return [pid for pids in self.parts.values() for pid in pids]


Start = Callable[[Path, str, list[Load]], AbstractAsyncContextManager[Peer]]


@asynccontextmanager
async def ours(
    directory: Path,
    url: str,
    loads: list[Load],
    *,
    name: str = "poe2gpt",
    tokens: int = 200,
    workers: int = 1,
    clients: int = 1,
) -> AsyncIterator[Peer]:
    """One gateway, one Redis with its AOF, and workers, as `compose.yaml` has them."""
    async with running_redis() as redis:
        place = Path(tempfile.mkdtemp(dir=directory))
        deployed = Deployment(place, redis)
        try:
            listed = write_tokens(place, tokens)
            children = [
                await deployed.start_worker(config=LIMITS, tokens=listed, poe_url=url)
                for _ in range(workers)
            ]
            keys = (KEY, *(f"sk-bench-client-{n}" for n in range(1, clients)))
            lines = "".join(
                f'  {{ key = "{key}", name = "c{n}" }},\n' for n, key in enumerate(keys)
            )
            gateway = await deployed.start_gateway(config=f"accessTokens = [\n{lines}]\n")

            async def knows_the_models() -> bool:
                async with gateway.http() as http:
                    return loads[0].model in (await http.get("/v1/models")).text

            await eventually(knows_the_models, "the catalogue")
            parts = {
                "gateway": [gateway.child.pid],
                "worker": [child.pid for child in children],
                "Redis": [_pid_of(redis)],
            }
            yield Peer(name, Target(f"{gateway.url}/v1/chat/completions", keys=keys), parts)
        finally:
            await deployed.close()


def write_tokens(directory: Path, count: int) -> str:
    """Write a file of Poe tokens, and return how a worker is told of it.

    10,000 of them are too long for a variable.
    """
    file = directory / "tokens"
    file.write_text("\n".join(f"sk-bench-{n}" for n in range(count)))
    return f"file:{file}"


@asynccontextmanager
async def nginx(directory: Path, url: str, loads: list[Load]) -> AsyncIterator[Peer]:
    """nginx as a plain proxy: the lower bound."""
    port = free_port()
    config = directory / "pass.conf"
    config.write_text(
        f"""
        worker_processes 1; pid {directory}/pass.pid; error_log {directory}/pass.log warn;
        worker_rlimit_nofile 60000;
        events {{ worker_connections 30000; }}
        http {{
          access_log off; keepalive_requests 1000000;
          client_body_temp_path {directory}/b2; proxy_temp_path {directory}/p2;
          fastcgi_temp_path {directory}/f2; uwsgi_temp_path {directory}/u2;
          scgi_temp_path {directory}/s2;
          upstream up {{ server {url.removeprefix("http://")}; keepalive 512; }}
          server {{
            listen 127.0.0.1:{port} backlog=4096;
            location / {{
              proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
              proxy_buffering off; proxy_read_timeout 300s;
            }}
          }}
        }}"""
    )
    child = await upstream.nginx(config)
    await eventually(lambda: upstream.listens(port), "nginx")
    try:
        target = Target(f"http://127.0.0.1:{port}/v1/chat/completions")
        yield Peer("nginx proxy_pass", target, {"nginx": [child.pid]})
    finally:
        await child.stop()


@asynccontextmanager
async def tensorzero(directory: Path, url: str, loads: list[Load]) -> AsyncIterator[Peer]:
    """TensorZero's gateway (Rust, no queue), started by its Python package in a process."""
    python = VENV / "bin/python"
    if not list(VENV.glob("lib/*/site-packages/tensorzero")):
        raise Missing("the package tensorzero is not in .venv-bench")
    models = "".join(
        f'[models."{load.model}"]\nrouting = ["up"]\n'
        f'[models."{load.model}".providers.up]\ntype = "openai"\nmodel_name = "{load.model}"\n'
        f'api_base = "{url}/v1/"\napi_key_location = "none"\n'
        for load in loads
    )
    config = directory / "tensorzero.toml"
    config.write_text("[gateway]\nobservability.enabled = false\n" + models)
    script = directory / "tensorzero_peer.py"
    script.write_text(
        "import openai, signal, tensorzero, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "client = openai.OpenAI(api_key='none')\n"
        f"client = tensorzero.patch_openai_client(client, config_file={str(config)!r},"
        " async_setup=False)\n"
        "print('at', client.base_url, flush=True)\n"
        "signal.pause()\n"
    )
    child = await spawn(directory / "tensorzero.log", str(python), str(script))
    try:
        await eventually(lambda: "at http" in child.output(), "TensorZero")
        base = child.output().partition("at http")[2].split()[0]
        target = Target(f"http{base}chat/completions", prefix="tensorzero::model_name::")
        yield Peer(f"TensorZero {_installed('tensorzero')}", target, {"gateway": [child.pid]})
    finally:
        child.process.kill()
        await child.process.wait()


@asynccontextmanager
async def litellm(directory: Path, url: str, loads: list[Load]) -> AsyncIterator[Peer]:
    """LiteLLM's proxy (Python, no queue), with one process, started as documented."""
    program = VENV / "bin/litellm"
    if not program.exists():
        raise Missing("the package litellm[proxy] is not in .venv-bench")
    entries = "".join(
        f"  - model_name: {load.model}\n    litellm_params:\n      model: openai/{load.model}\n"
        f"      api_base: {url}/v1\n      api_key: none\n"
        for load in loads
    )
    config = directory / "litellm.yaml"
    config.write_text(f"model_list:\n{entries}")
    port = free_port()
    child = await spawn(
        directory / "litellm.log",
        *(str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)),
        env={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            # It does not start without a master key in the expected form.
            "LITELLM_MASTER_KEY": LITELLM_KEY,
        },
    )
    try:
        await _serves(child, port)
        headers = (("authorization", f"Bearer {LITELLM_KEY}"),)
        target = Target(f"http://127.0.0.1:{port}/v1/chat/completions", headers)
        name = f"LiteLLM {_installed('litellm')}"
        yield Peer(name, target, {"gateway": [child.pid]}, is_slow=True)
    finally:
        child.process.kill()
        await child.process.wait()


@asynccontextmanager
async def portkey(directory: Path, url: str, loads: list[Load]) -> AsyncIterator[Peer]:
    """Portkey's gateway (TypeScript, no queue)."""
    program = NODE / "node_modules/@portkey-ai/gateway/build/start-server.js"
    if not program.exists():
        raise Missing("the package @portkey-ai/gateway is not in bench/node")
    port = free_port()
    child = await spawn(
        directory / "portkey.log",
        *("node", str(program), "--headless", f"--port={port}"),
        env={"NODE_ENV": "production"},
    )
    try:
        await _serves(child, port)
        headers = (
            ("x-portkey-provider", "openai"),
            ("x-portkey-custom-host", f"{url}/v1"),
            ("authorization", "Bearer none"),
        )
        target = Target(f"http://127.0.0.1:{port}/v1/chat/completions", headers)
        version = json.loads((program.parents[1] / "package.json").read_text())["version"]
        yield Peer(f"Portkey {version}", target, {"gateway": [child.pid]})
    finally:
        child.process.kill()
        await child.process.wait()


async def _serves(child: Child, port: int) -> None:
    """Wait until a peer accepts connections. Raises Missing if it exits instead."""
    for _ in range(int(PATIENCE / 0.1)):
        if await upstream.listens(port):
            return
        if child.process.returncode is not None:
            break
        await asyncio.sleep(0.1)
    raise Missing(f"it did not start; the end of its output: {child.output()[-300:]!r}")


def _installed(package: str) -> str:
    """Return the version of a package in VENV."""
    (found,) = VENV.glob(f"lib/*/site-packages/{package}-*.dist-info")
    return found.name.removesuffix(".dist-info").removeprefix(f"{package}-")


def _pid_of(redis: RedisServer) -> int:
    assert redis.child is not None
    return redis.child.pid


ALL: dict[str, Start] = {
    "poe2gpt": ours,
    "nginx": nginx,
    "tensorzero": tensorzero,
    "litellm": litellm,
    "portkey": portkey,
}
"""Every peer, by its name on the command line."""
