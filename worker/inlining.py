"""Attachments for an upstream that takes their content within the request."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import msgspec

from contract.messages import Job, MediaPart, Message, Part
from worker.poe.attachments import attachments_in, media_type_of
from worker.poe.faults import Fault, FaultKind
from worker.queue import Blobs


async def restored(job: Job, blobs: Blobs) -> Job:
    """Return the job with its native body as the client sent it, in one piece.

    Raises Fault where the content of an attachment is gone, and RedisFault.
    """
    native = job.native
    if native is None or not native.blobs:
        return job
    encoded = {digest: await _encoded(digest, blobs) for digest in dict.fromkeys(native.blobs)}
    first, *rest = native.body
    pieces = (encoded[at] + piece for at, piece in zip(native.blobs, rest, strict=True))
    body = await asyncio.to_thread(lambda: first + b"".join(pieces))
    native = msgspec.structs.replace(native, body=(body,), blobs=())
    return msgspec.structs.replace(job, native=native)


async def _encoded(digest: str, blobs: Blobs) -> bytes:
    data = await blobs.fetch(digest)
    if data is None:
        message = "An attachment is no longer stored. Send the request again."
        raise Fault(FaultKind.CONTENT_LOST, message, sent=False)
    return await asyncio.to_thread(b64encode, data)


async def inlined(job: Job, blobs: Blobs) -> Job:
    """Return the job with the content of its stored attachments in their URLs.

    Raises Fault, which names the attachment, where the content is gone, and RedisFault.
    """
    stored = {part: place for part, place in attachments_in(job.messages).items() if part.digest}
    if not stored:
        return job
    whole = {part: await _inlined(part, place, blobs) for part, place in stored.items()}
    messages = tuple(_with(message, whole) for message in job.messages)
    return msgspec.structs.replace(job, messages=messages)


async def _inlined(part: MediaPart, place: str, blobs: Blobs) -> MediaPart:
    data = await blobs.fetch(part.digest)
    if data is None:
        message = f"{place} is no longer stored. Send the request again."
        raise Fault(FaultKind.CONTENT_LOST, message, sent=False)
    url = await asyncio.to_thread(_data_url, media_type_of(part), data)
    return msgspec.structs.replace(part, url=url, digest="", size=0)


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode('ascii')}"


def _with(message: Message, whole: dict[MediaPart, MediaPart]) -> Message:
    if isinstance(message.content, str):
        return message
    parts: tuple[Part, ...] = tuple(
        whole.get(part, part) if isinstance(part, MediaPart) else part for part in message.content
    )
    return msgspec.structs.replace(message, content=parts)
