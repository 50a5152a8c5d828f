"""`python -m simulated_poe`: a simulated Poe until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from simulated_poe.server import SimulatedPoe
from simulated_poe.settings import Settings, load


def main() -> int:
    """Run until told to end. Returns the exit status: 2 for a config that is wrong."""
    arguments = _arguments()
    try:
        settings = load(arguments.config) if arguments.config else Settings()
    except (OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"{arguments.config}: {error}\n")
        return 2
    asyncio.run(_serve(settings, arguments.host, arguments.port))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("simulated_poe", description="A Poe to test against.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--config", type=Path, help="settings as JSON")
    return parser.parse_args()


async def _serve(settings: Settings, host: str, port: int) -> None:
    told = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, told.set)
    async with SimulatedPoe(settings, host, port) as poe:
        sys.stdout.write(f"simulated poe on {poe.url}\n")
        sys.stdout.flush()
        await told.wait()


if __name__ == "__main__":
    sys.exit(main())
