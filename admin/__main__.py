"""The admin service: `python -m admin --settings-fd N`, started by `poe2gpt admin`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from functools import partial

import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from admin.app import application
from admin.config import AdminConfig
from contract.config import read_settings
from runtime import logs, signals

_log = logging.getLogger("admin")

_PATIENCE = 1.0
"""Seconds that requests under way have to end, when the service does. Only a model that is tried
takes longer."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m admin", description=__doc__)
    parser.add_argument("--settings-fd", type=int, required=True)
    config = read_settings(parser.parse_args().settings_fd, AdminConfig)
    logs.configure("admin")
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    uvloop.run(_serve(config))


def _is_ours(record: logging.LogRecord) -> bool:
    """Return whether a fault is ours: what is said of a broken request has parts of it, a token."""
    fault = record.exc_info[1] if record.exc_info else None
    return not isinstance(fault, HttpProcessingError | web.RequestPayloadError)


async def _serve(config: AdminConfig) -> None:
    stopping = asyncio.Event()
    signals.heed(stopping.set, partial(os._exit, 1))
    runner = web.AppRunner(application(config), access_log=None, shutdown_timeout=_PATIENCE)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.admin_host, config.admin_port).start()
        _log.info("listening", extra={"host": config.admin_host, "port": config.admin_port})
        await stopping.wait()
    except OSError as error:
        _log.critical(
            "cannot listen on %s, port %d: %s", config.admin_host, config.admin_port, error
        )
        raise SystemExit(1) from None
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    main()
