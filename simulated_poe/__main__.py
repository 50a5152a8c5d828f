"""`python -m simulated_poe`: runs a simulated Poe until SIGTERM or SIGINT."""

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
    """Run until a signal. Returns the exit status: 2 for an invalid configuration."""
    arguments = _arguments()
    try:
        settings = load(arguments.config) if arguments.config else Settings()
    except (OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"{arguments.config}: {error}\n")
        return 2
    asyncio.run(_serve(settings, arguments.host, arguments.port))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("simulated_poe", description="A simulated Poe for tests.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on; 0: any free")
    parser.add_argument("--config", type=Path, help="a JSON file of settings")
    return parser.parse_args()


async def _serve(settings: Settings, host: str, port: int) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with SimulatedPoe(settings, host, port) as poe:
        sys.stdout.write(f"simulated poe on {poe.url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
