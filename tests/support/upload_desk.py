"""A server that accepts uploads in place of www.quora.com, and answers as a test says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web


@dataclass(frozen=True)
class Upload:
    """One request, as received."""

    authorization: str
    form: str
    name: str
    media_type: str
    content: bytes
    """The file's; of a link it is the URL."""
    connection: asyncio.BaseTransport

    @property
    def is_dropped(self) -> bool:
        return self.connection.is_closing()


class UploadDesk:
    """A server on loopback, inside `async with`.

    The n-th upload is then at `https://pfst.cf2.poecdn.net/base/n`. What is in `replies` (status,
    body) is answered first; nothing is answered while `open` is not set.
    """

    def __init__(self) -> None:
        self.url = ""
        self.uploads: list[Upload] = []
        self.replies: list[web.Response] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/upload", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/upload"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.open.set()
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.uploads.append(_upload(request, form))
        place = f"https://pfst.cf2.poecdn.net/base/{len(self.uploads)}"
        await self.open.wait()
        if self.replies:
            return self.replies.pop(0)
        return web.json_response({"attachment_url": place, "mime_type": "image/webp"})


def _upload(request: web.Request, form: object) -> Upload:
    assert request.transport is not None
    fields = dict(form.items())  # type: ignore[attr-defined]
    file = fields.get("file")
    authorization = request.headers["Authorization"]
    if isinstance(file, web.FileField):
        assert list(fields) == ["file"]
        return Upload(
            authorization,
            request.content_type,
            file.filename,
            file.content_type,
            file.file.read(),
            request.transport,
        )
    url = str(fields.pop("download_url"))
    name = str(fields.pop("download_filename"))
    assert not fields
    return Upload(authorization, request.content_type, name, "", url.encode(), request.transport)
