"""Uploading to Poe, which its bots need before they can look at a file.

The endpoint is not among the documented ones; what is known of it is in fastapi_poe's
`upload_file`: it stands on another host than the rest, it wants the bare key where everything
else wants `Bearer`, and it takes either a file or a URL for Poe to fetch.
"""

from __future__ import annotations

import asyncio

import httpx
import msgspec

from worker.poe.body import refusal, whole
from worker.poe.faults import Fault, FaultKind
from worker.poe.http_errors import translated
from worker.poe.lenient_json import object_of, parse, string_of

UPLOAD_TIME = 60.0
"""Seconds for one upload, Poe's fetching of a URL included. Poe's library waits 120."""

_POE = "https://api.poe.com"
_QUORA = "https://www.quora.com"
_PATH = "/poe_api/file_upload_3RD_PARTY_POST"

_OF_THE_TOKEN_OR_POE = {
    FaultKind.BAD_KEY,
    FaultKind.NO_POINTS,
    FaultKind.RATE_LIMITED,
    FaultKind.UPSTREAM_DOWN,
    FaultKind.OVERLOADED,
    FaultKind.TIMEOUT,
    FaultKind.PROTOCOL,
}
"""Faults of a refused upload that are not about the file."""


class UploadedFile(msgspec.Struct, frozen=True, array_like=True):
    """Where an uploaded file is at Poe."""

    url: str
    media_type: str = ""
    """The type that Poe gives it. Empty: Poe did not say."""


class FileUpload(msgspec.Struct, frozen=True):
    """A file to upload."""

    name: str
    media_type: str
    data: bytes


class UrlUpload(msgspec.Struct, frozen=True):
    """A file that Poe is to fetch."""

    name: str
    url: str


def upload_url(poe_url: str) -> str:
    """Return where uploads go: a stand-in for Poe takes them itself."""
    return (_QUORA if poe_url == _POE else poe_url) + _PATH


async def upload(
    http: httpx.AsyncClient, url: str, source: FileUpload | UrlUpload, authorization: str
) -> UploadedFile:
    """Upload one file.

    Raises Fault, never one that counts as sent: an upload costs nothing. BAD_REQUEST and
    CONTENT_REFUSED are about this file.
    """
    try:
        return await _upload(http, url, source, authorization)
    except Fault as fault:
        fault.sent = False
        # Its words may be those of the address that a client gave.
        fault.in_band = True
        raise


async def _upload(
    http: httpx.AsyncClient, url: str, source: FileUpload | UrlUpload, authorization: str
) -> UploadedFile:
    with translated(authorization):
        async with asyncio.timeout(UPLOAD_TIME):
            headers = {"Accept": "application/json", "Authorization": authorization}
            files, fields = None, None
            if isinstance(source, FileUpload):
                files = {"file": (source.name, source.data, source.media_type)}
            else:
                fields = {"download_url": source.url, "download_filename": source.name}
            async with http.stream("POST", url, headers=headers, files=files, data=fields) as reply:
                if reply.status_code != 200:
                    raise _about_the_file(await refusal(reply))
                return _read(await whole(reply))


def _about_the_file(fault: Fault) -> Fault:
    if fault.kind in _OF_THE_TOKEN_OR_POE or fault.kind is FaultKind.CONTENT_REFUSED:
        return fault
    # That a model is unknown or forbidden cannot be meant: no model is named.
    passed_on = fault.kind in (FaultKind.BAD_REQUEST, FaultKind.TOO_LONG)
    return Fault(FaultKind.BAD_REQUEST, fault.message if passed_on else "")


def _read(body: bytes) -> UploadedFile:
    fields = object_of(parse(body))
    url = string_of(fields.get("attachment_url"))
    if not url:
        raise Fault(FaultKind.PROTOCOL)
    return UploadedFile(url, string_of(fields.get("mime_type")))
