"""Has a job's attachments uploaded, each only once while Poe is likely to keep it.

A client sends all files of a conversation with every round of it, so what was uploaded is
remembered in Redis: under the account, for nobody knows whether one account may use another's
uploads, and under a hash, so that nothing that a client sent stays there.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from contract.messages import Job, MediaPart
from contract.store import RedisFault
from worker.bot.attachments import (
    Attachment,
    attachment,
    attachments_in,
    data_of,
    is_data,
    is_poes_own,
    media_type_of,
    name_of,
)
from worker.config import PoeToken
from worker.poe.client import PoeClient
from worker.poe.faults import Blame, Fault, blame
from worker.poe.uploads import File, Link, UploadedFile
from worker.queue import Queue

DATA_LIFE = 24 * 3600.0
"""Seconds for which an upload of data is taken to last. Nobody knows; poe2openai lives with 72
hours, and Poe promises 10 minutes for the files that it hands to bots itself."""

LINK_LIFE = 3600.0
"""Seconds for which what Poe fetched from a URL stands for what the URL names."""


class Uploads:
    """The uploads of one worker."""

    def __init__(self, queue: Queue, poe: PoeClient) -> None:
        self._queue = queue
        self._poe = poe
        self._under_way: dict[tuple[str, str], _UnderWay] = {}

    async def attachments(self, job: Job, token: PoeToken) -> dict[MediaPart, Attachment]:
        """Return an attachment for each part of the job that is no text.

        They are uploaded one after another: a job that waits for an answer takes up one
        connection, and so does this. Raises Fault; those about one file name it.
        """
        places = attachments_in(job.messages)
        made = {part: attachment(part, part.url) for part in places if is_poes_own(part.url)}
        foreign = [part for part in places if part not in made]
        if foreign:
            digests = await asyncio.to_thread(_digests, foreign)
            known = await self._queue.uploads(token.account, digests)
            for part, digest, file in zip(foreign, digests, known, strict=True):
                found = file or await self._uploaded(part, places[part], digest, token)
                made[part] = attachment(part, found.url, found.media_type)
        return made

    async def forget(self, job: Job, token: PoeToken) -> None:
        """Upload this job's files anew the next time; Poe may have lost one.

        It has no error that says so. Does nothing while Redis is away.
        """
        if parts := [part for part in attachments_in(job.messages) if not is_poes_own(part.url)]:
            digests = await asyncio.to_thread(_digests, parts)
            with suppress(*RedisFault):
                await self._queue.forget_uploads(token.account, digests)

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
        if is_data(part.url):
            data = await asyncio.to_thread(data_of, part.url)
            source: File | Link = File(name_of(part), media_type_of(part), data)
        else:
            source = Link(name_of(part), part.url)
        file = await self._poe.upload(source, token.secret)
        life = DATA_LIFE if isinstance(source, File) else LINK_LIFE
        await self._queue.remember_upload(token.account, digest, file, life)
        return file


class _UnderWay:
    """An upload for which any number of jobs wait. It ends when the last of them has left."""

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
    """Hash the URLs, those with the data in them too; the stated type is a part of them."""
    return [
        hashlib.sha256(f"{part.media_type}\n{part.url}".encode(errors="replace")).hexdigest()
        for part in parts
    ]


def _named(fault: Fault, place: str) -> Fault:
    """Say which attachment it was, where that matters."""
    if blame(fault.kind) not in (Blame.REQUEST, Blame.UPSTREAM):
        return fault
    message = f"{place} could not be uploaded. {fault.message}"
    return Fault(fault.kind, message, fault.retry_after, fault.allow_retry, sent=False)
