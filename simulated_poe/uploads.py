"""Uploads: POST /poe_api/file_upload_3RD_PARTY_POST, which Poe serves on a separate host.

It expects the bare key, where everything else expects `Bearer`, and refuses a malformed request
with 403 and HTML. A file's content does not matter, but its name may ask for a failure:
`fail-500.png` for that status, `fail-html`, and `fail-empty` for a response without a URL.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import replace
from urllib.parse import quote

import orjson
from aiohttp import web

from simulated_poe import failures
from simulated_poe.accounts import fingerprint, holder_of
from simulated_poe.record import Record, Upload
from simulated_poe.settings import Settings

_FAILURE = re.compile(r"fail-(\d{3}|html|empty)")
_HTML = "<html><head><title>Quora</title></head><body><h1>Something went wrong</h1></body></html>"


class Uploads:
    """Handles uploads, and adds each to `record`."""

    def __init__(self, settings: Settings, record: Record) -> None:
        self._settings = settings
        self._record = record

    async def take(self, request: web.Request) -> web.Response:
        """Handle the upload of a file, or of a file's URL."""
        key = request.headers.get("Authorization", "")
        if " " in key:
            return _html(403)
        holder = holder_of(key, self._settings)
        if holder is None:
            return _refused(401)
        upload = await _read(request, fingerprint(key), holder.account)
        if upload is None:
            return _html(403)
        failure = _FAILURE.search(upload.name)
        answer = _failed(failure[1]) if failure else _taken(upload)
        status = answer.status
        shown = upload if failure is None else replace(upload, url="")
        self._record.uploads.append(replace(shown, status=status))
        return answer


async def _read(request: web.Request, key: str, account: str) -> Upload | None:
    form = await request.post()
    file, url = form.get("file"), form.get("download_url")
    if isinstance(file, web.FileField):
        content = file.file.read()
        at = _url(account, content, file.filename)
        return Upload(key, account, "file", file.filename, file.content_type, len(content), 200, at)
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        name = str(form.get("download_filename") or url.rsplit("/", 1)[-1])
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        at = _url(account, url.encode(), name)
        return Upload(key, account, "url", name, guessed, 0, 200, at)
    return None


def _url(account: str, content: bytes, name: str) -> str:
    digest = hashlib.sha256(account.encode() + b"/" + content).hexdigest()
    return f"https://pfst.cf2.poecdn.net/base/file/{digest}?name={quote(name)}"


def _taken(upload: Upload) -> web.Response:
    fields = {
        "attachment_url": upload.url,
        "mime_type": upload.content_type,
        "size": upload.size,
    }
    return web.Response(body=orjson.dumps(fields), content_type="application/json")


def _failed(name: str) -> web.Response:
    if name == "empty":
        return web.Response(body=b"{}", content_type="application/json")
    if name == "html":
        return _html(403)
    return _refused(int(name)) if int(name) in failures.FAILURES else _html(int(name))


def _refused(status: int) -> web.Response:
    failure = failures.FAILURES[status]
    headers = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
    return web.Response(
        status=status,
        body=orjson.dumps(failures.body(failure, "b")),
        content_type="application/json",
        headers=headers,
    )


def _html(status: int) -> web.Response:
    return web.Response(status=status, text=_HTML, content_type="text/html")
