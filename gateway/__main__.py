"""One gateway process: `python -m gateway --settings-fd N`, started by the `poe2gpt` command."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Sequence
from functools import partial
from secrets import token_hex

import msgspec
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from contract.config import read_settings
from contract.keys import Keys
from contract.version import VERSION
from gateway.app import App
from gateway.config import GatewayConfig
from gateway.listening import addresses, try_to_bind
from gateway.queue.hub import Hub
from runtime import garbage, logs, open_files, signals
from runtime.reloading import reloading

_log = logging.getLogger("gateway")

BACKLOG = 4096
"""Connections that may wait to be accepted."""

MAX_REQUESTS = 16_384
"""Requests that may be under way, of which each open stream is one."""

HEADER_TIMEOUT_MS = 100_000
"""Also how long a connection may idle between two requests: the pools of Rust clients use one
again after 90 seconds, and would find it closed."""

HEADER_BYTES = 64 * 1024

UNREADY_FOR = 0.5
"""Seconds between turning unready and closing the sockets, for load balancers to notice."""

ERROR_GRACE = 1.0
"""Seconds for the errors of requests that outlast the drain to reach their clients."""


def main() -> None:
    """Serve until SIGTERM, then let the streams finish."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description=__doc__)
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument("--source-fd", type=int)
    arguments = parser.parse_args()
    config = read_settings(arguments.settings_fd, GatewayConfig)
    logs.configure("gateway")
    open_files.allow_many()
    garbage.settle()
    uvloop.run(_serve(config, _where(config), arguments.source_fd))


def _where(config: GatewayConfig) -> tuple[str, ...]:
    try:
        found = addresses(config.host)
        for address in found:
            try_to_bind(address, config.port)
    except (ValueError, OSError) as error:
        _log.critical("cannot listen on %s, port %d: %s", config.host, config.port, error)
        raise SystemExit(1) from None
    return found


async def _serve(config: GatewayConfig, where: Sequence[str], source: int | None) -> None:
    if not config.needs_key:
        _log.warning(
            "no access tokens are configured: unless keys were made with `poe2gpt keys`, anyone who"
            " can connect can spend points"
        )
    app = App(config, Hub(config.redis_url, f"g-{token_hex(6)}", Keys(config.key_prefix)), VERSION)
    servers = [_server(app, address, config.port) for address in where]
    stopping = asyncio.Event()
    signals.heed(stopping.set, partial(os._exit, 1))

    def take(settings: bytes) -> None:
        app.configure(msgspec.msgpack.decode(settings, type=GatewayConfig))

    async with app.running() as background, reloading(source, take, stopping.set):
        serving = asyncio.ensure_future(asyncio.gather(*(each.serve() for each in servers)))
        _log.info("listening", extra={"host": ", ".join(where), "port": config.port})
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({serving, stopped, *background}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            stopped.cancel()
            serving.result()
            return
        for task in background:
            if task.done():
                # Half a gateway would keep its clients waiting in vain.
                fault = None if task.cancelled() else task.exception()
                _log.critical("a background task has ended: %r", task, exc_info=fault)
                app.interrupt()
                await asyncio.wait({serving}, timeout=ERROR_GRACE)
                raise SystemExit(1)
        app.drain()
        _log.info("draining", extra={"active": app.active})
        await asyncio.sleep(UNREADY_FOR)
        for server in servers:
            server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({serving}, timeout=config.drain_timeout)
        app.interrupt()
        await asyncio.wait({serving}, timeout=ERROR_GRACE)
        # What is left now are requests that have not arrived in full.
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _server(app: App, address: str, port: int) -> Server:
    return Server(
        app,
        address=address,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=MAX_REQUESTS,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MS, max_buffer_size=HEADER_BYTES * 4
        ),
        log_enabled=False,
    )


if __name__ == "__main__":
    main()
