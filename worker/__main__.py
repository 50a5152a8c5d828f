"""One worker process: `python -m worker --settings-fd N`, started by the `poe2gpt` command."""

from __future__ import annotations

import argparse
import logging

import msgspec
import uvloop

from contract.config import read_settings
from contract.keys import Keys
from contract.version import VERSION
from runtime import garbage, logs, open_files, signals
from runtime.reloading import reloading
from worker.config import WorkerConfig
from worker.poe.client import PoeClient
from worker.queue import Queue
from worker.service import Service, new_name

_log = logging.getLogger("worker")

MAX_CALLS = 16_000
"""Connections to Poe at a time, whatever the tokens allow: they may become more at run time."""


def main() -> None:
    """Work until SIGTERM, then finish what runs."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument("--source-fd", type=int)
    arguments = parser.parse_args()
    config = read_settings(arguments.settings_fd, WorkerConfig)
    logs.configure("worker")
    open_files.allow_many()
    garbage.settle()
    try:
        uvloop.run(_work(config, arguments.source_fd))
    except Exception:
        _log.critical("the worker ends by its own fault", exc_info=True)
        raise SystemExit(1) from None


async def _work(config: WorkerConfig, source: int | None) -> None:
    name = new_name()
    async with (
        Queue(
            config.redis_url,
            name,
            Keys(config.key_prefix),
            lease_life=config.lease_life,
            max_attempts=config.max_attempts,
        ) as queue,
        PoeClient(
            config.poe_url,
            max_connections=MAX_CALLS,
            uploads_to=config.upload_url,
            proxy=config.proxy,
            connect_timeout=config.connect_timeout,
            timeout=config.timeout,
            answer_timeout=config.answer_timeout,
        ) as poe,
    ):
        service = Service(config, queue, poe, VERSION)
        signals.heed(service.drain, service.hurry)
        _log.info("working", extra={"worker": name, "tokens": len(config.tokens)})

        def take(settings: bytes) -> None:
            service.configure(msgspec.msgpack.decode(settings, type=WorkerConfig))

        async with reloading(source, take, service.drain):
            await service.run()
        _log.info("stopped", extra={"worker": name})


if __name__ == "__main__":
    main()
