"""Redis over TLS: commands and the subscription believe whom the URL says, and nobody else."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.queue.subscriber import Subscriber
from runtime import tasks
from store.client import connect
from store.faults import RedisFault
from tests.support.deployment import eventually, free_port, spawn


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A server with a certificate that only it and `cert.pem` vouch for."""
    program, openssl = shutil.which("redis-server"), shutil.which("openssl")
    if not program or not openssl:
        pytest.skip("needs redis-server and openssl on PATH")
    key, cert, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    making = await spawn(
        tmp_path / "openssl.log",
        *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    )
    assert await making.process.wait() == 0, making.output()
    child = await spawn(
        tmp_path / "redis.log",
        *(program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1"),
        *("--tls-cert-file", str(cert), "--tls-key-file", str(key)),
        *("--tls-auth-clients", "no", "--save", ""),
    )
    url = f"rediss://127.0.0.1:{port}/0"
    trusting = connect(f"{url}?ssl_ca_certs={cert}", connections=1, timeout=5)

    async def answers() -> bool:
        try:
            return bool(await trusting.ping())
        except RedisFault:
            return False

    try:
        await eventually(answers, "Redis")
        yield url
    finally:
        await trusting.aclose()
        await child.stop()


@pytest.mark.parametrize("trust", ["ssl_ca_certs={}/cert.pem", "ssl_cert_reqs=none"])
async def test_a_subscription_over_tls_hears_what_is_published(
    url: str, tmp_path: Path, trust: str
) -> None:
    url = f"{url}?{trust.format(tmp_path)}"
    heard: list[bytes] = []
    subscribed = asyncio.Event()
    subscriber = Subscriber(url, "channel", heard.append, subscribed.set)
    running = asyncio.create_task(subscriber.run())
    redis: Any = connect(url, connections=1, timeout=5)
    await subscribed.wait()
    assert await redis.publish("channel", "word") == 1
    await eventually(lambda: heard, "the message")
    await tasks.end([running])
    await redis.aclose()

    assert heard == [b"word"]


async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(url: str) -> None:
    redis = connect(url, connections=1, timeout=5)

    with pytest.raises(RedisFault, match="certificate"):
        await redis.ping()
    await redis.aclose()
