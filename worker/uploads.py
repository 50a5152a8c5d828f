"""Uploads the attachments of jobs, each only once while Poe is likely to keep it.

A client sends all files of a conversation with each of its turns, so what was uploaded is
remembered in Redis: by account, since nobody knows whether one account may use another's uploads,
and by hash, so that nothing that a client sent stays there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from contract.messages import Job, MediaPart
from store.faults import RedisFault
from worker.config import PoeToken
from worker.poe.attachments import (
    Attachment,
    attachment,
    attachments_in,
    data_of,
    is_poes_own,
    is_sent_along,
    media_type_of,
    name_of,
)
from worker.poe.client import PoeClient
from worker.poe.faults import Blame, Fault, FaultKind, blame
from worker.poe.uploads import FileUpload, UploadedFile, UrlUpload
from worker.queue import Blobs, KnownUploads

DATA_LIFE = 24 * 3600.0
"""Seconds for which an upload of data is taken to last. Nobody knows; poe2openai lives with 72
hours, and Poe promises 10 minutes for the files that it hands to bots itself."""

TOTAL_TIME = 120.0
"""Seconds for all uploads of one job on this worker, its further attempts included."""

MOST_JOBS, MOST_OF_CLIENT = 64, 16
"""Jobs that may be uploading at once, in all and of one client: each is kept in memory whole."""

LINK_LIFE = 3600.0
"""Seconds for which what Poe fetched from a URL counts as the URL's content."""


class Crowded(Exception):
    """Too many jobs are uploading; this one may upload later."""


class Uploads:
    """The uploads of one worker."""

    def __init__(self, known: KnownUploads, blobs: Blobs, poe: PoeClient) -> None:
        self._known = known
        self._blobs = blobs
        self._poe = poe
        self._under_way: dict[tuple[str, str], _UnderWay] = {}
        self._uploading: Counter[str] = Counter()
        """Jobs that are uploading, by client."""
        self._deadlines: dict[str, float] = {}
        """When the uploads of a job must be done, for jobs that have begun lately."""

    async def attachments(self, job: Job, token: PoeToken) -> dict[MediaPart, Attachment]:
        """Return an attachment for each part of the job that is not text.

        They are uploaded one after another, so that a job never uses more than one connection.
        Raises Fault, which names the file if it is about one, and Crowded.
        """
        places = attachments_in(job.messages)
        made = {part: attachment(part, part.url) for part in places if is_poes_own(part.url)}
        foreign = [part for part in places if part not in made]
        if foreign:
            digests = await asyncio.to_thread(_digests, foreign)
            known = await self._known.find(token.account, digests)
            missing = [row for row in zip(foreign, digests, known, strict=True) if row[2] is None]
            files = dict(zip(foreign, known, strict=True))
            with self._counted(job.client if missing else ""):
                async with self._timed(job):
                    for part, digest, _ in missing:
                        files[part] = await self._uploaded(part, places[part], digest, token)
            for part, file in files.items():
                if file is not None:
                    made[part] = attachment(part, file.url, file.media_type)
        return made

    @contextmanager
    def _counted(self, client: str) -> Iterator[None]:
        """Count a client's job that uploads; '': none does. Raises Crowded."""
        if not client:
            yield
            return
        if self._uploading.total() >= MOST_JOBS or self._uploading[client] >= MOST_OF_CLIENT:
            raise Crowded
        self._uploading[client] += 1
        try:
            yield
        finally:
            self._uploading[client] -= 1
            if not self._uploading[client]:
                del self._uploading[client]

    @asynccontextmanager
    async def _timed(self, job: Job) -> AsyncIterator[None]:
        """Bound the uploads of a job, over all its attempts. Raises Fault(BAD_REQUEST)."""
        now = asyncio.get_running_loop().time()
        lately = now - 10 * TOTAL_TIME
        self._deadlines = {name: at for name, at in self._deadlines.items() if at > lately}
        limit = asyncio.timeout_at(self._deadlines.setdefault(job.id, now + TOTAL_TIME))
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            message = f"The attachments could not be uploaded within {TOTAL_TIME:g} s."
            raise Fault(FaultKind.BAD_REQUEST, message, sent=False) from None

    async def forget(self, job: Job, token: PoeToken) -> None:
        """Upload this job's files again the next time, since Poe may have lost one.

        Poe has no error that says so. Does nothing while Redis is away.
        """
        if parts := [part for part in attachments_in(job.messages) if not is_poes_own(part.url)]:
            digests = await asyncio.to_thread(_digests, parts)
            with suppress(*RedisFault):
                await self._known.forget(token.account, digests)

    async def _uploaded(
        self, part: MediaPart, place: str, digest: str, token: PoeToken
    ) -> UploadedFile:
        key = (token.account, digest)
        if (under_way := self._under_way.get(key)) is None:
            under_way = _UnderWay(self._upload(part, digest, token))
            self._under_way[key] = under_way
        try:
            return await under_way.result()
        except Fault as fault:
            raise _named(fault, place) from fault.__cause__
        finally:
            if under_way.is_left and self._under_way.get(key) is under_way:
                del self._under_way[key]

    async def _upload(self, part: MediaPart, digest: str, token: PoeToken) -> UploadedFile:
        source = await self._source(part)
        file = await self._poe.upload(source, token.secret)
        life = DATA_LIFE if isinstance(source, FileUpload) else LINK_LIFE
        await self._known.remember(token.account, digest, file, life)
        return file

    async def _source(self, part: MediaPart) -> FileUpload | UrlUpload:
        if not is_sent_along(part):
            return UrlUpload(name_of(part), part.url)
        if part.digest:
            data = await self._blobs.fetch(part.digest)
            if data is None:
                message = "It is no longer stored. Send the request again."
                raise Fault(FaultKind.CONTENT_LOST, message, sent=False)
        else:
            data = await asyncio.to_thread(data_of, part.url)
        return FileUpload(name_of(part), media_type_of(part), data)


class _UnderWay:
    """An upload that any number of jobs wait for. It is cancelled when the last of them leaves."""

    def __init__(self, upload: Coroutine[Any, Any, UploadedFile]) -> None:
        self._task = asyncio.create_task(upload)
        self._waiting = 0

    @property
    def is_left(self) -> bool:
        return self._waiting == 0

    async def result(self) -> UploadedFile:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if self.is_left:
                self._task.cancel()


def _digests(parts: list[MediaPart]) -> list[str]:
    """Hash what tells the contents apart, their digests or URLs, together with the stated types."""
    named = (f"{part.media_type}\n{part.digest or part.url}" for part in parts)
    return [hashlib.sha256(each.encode(errors="replace")).hexdigest() for each in named]


def _named(fault: Fault, place: str) -> Fault:
    """Name the attachment, where the fault is about it."""
    if blame(fault.kind) not in (Blame.REQUEST, Blame.UPSTREAM):
        return fault
    message = f"{place} could not be uploaded. {fault.message}"
    return Fault(fault.kind, message, fault.retry_after, fault.allow_retry, sent=False)
