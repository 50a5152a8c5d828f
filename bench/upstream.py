"""The simulated upstream of the comparison: nginx with Lua, which itself costs very little."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.deployment import Child, eventually, free_port, spawn

LUA_MODULE = Path("/usr/share/nginx/modules-available/mod-http-lua.conf")
"""The file with which Debian's libnginx-mod-http-lua is loaded."""
NDK_MODULE = LUA_MODULE.with_name("mod-http-ndk.conf")


@dataclass(frozen=True)
class Load:
    """The answer that a request asks the upstream for."""

    chunks: int = 1
    pause_ms: int = 0
    quiet: int = 0
    """Seconds of silence between two chunks; 0: `chunks` chunks, one every `pause_ms`."""

    @property
    def model(self) -> str:
        """The model's name, which tells the upstream what to answer."""
        return f"quiet-{self.quiet}" if self.quiet else f"stream-{self.chunks}-{self.pause_ms}"

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(f"w{n:06d} " for n in range(1, (2 if self.quiet else self.chunks) + 1))


def why_missing() -> str | None:
    """Return what this machine lacks to run the upstream, or None."""
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
        return "nginx is not installed (Debian: apt install nginx libnginx-mod-http-lua)"
    if not LUA_MODULE.exists():
        return "nginx has no Lua (Debian: apt install libnginx-mod-http-lua)"
    return None


@asynccontextmanager
async def running(directory: Path, loads: list[Load]) -> AsyncIterator[str]:
    """Run the upstream inside the block, and yield its URL."""
    port = free_port()
    entries = [_entry(load.model) for load in loads]
    (directory / "models.json").write_text(json.dumps({"object": "list", "data": entries}))
    modules = NDK_MODULE.read_text() + LUA_MODULE.read_text()
    template = Path(__file__).with_name("upstream.conf.in").read_text()
    config = directory / "upstream.conf"
    config.write_text(
        template.replace("@DIR@", str(directory))
        .replace("@PORT@", str(port))
        .replace("@LUA@", modules)
    )
    child = await nginx(config)
    url = f"http://127.0.0.1:{port}"
    await eventually(lambda: listens(port), "the upstream")
    try:
        yield url
    finally:
        await child.stop()


async def nginx(config: Path) -> Child:
    """Start an nginx with this configuration."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin") or "nginx"
    return await spawn(config.with_suffix(".out"), program, "-c", str(config), "-g", "daemon off;")


async def listens(port: int) -> bool:
    """Return whether something accepts connections on a local port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _entry(model: str) -> dict[str, object]:
    return {
        "id": model,
        "object": "model",
        "created": 1700000000000,
        "owned_by": "bench",
        "root": model,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "supported_features": ["tools"],
        "supported_endpoints": ["/v1/chat/completions"],
        "parameters": [],
        "metadata": {"display_name": model},
    }
