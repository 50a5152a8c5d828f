"""A request in its client's own words, as it goes through the queue. Pure.

What is stored as a blob anyway, because the translated messages name it, is not stored twice: its
base64 is cut out of the body, and the worker puts it back.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import msgspec

from contract.config import ModelSettings
from contract.messages import Message, Model, Native

SHORTEST = 1024
"""Bytes of base64 that are worth a cut."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode

_QUANTUM = 4
"""Characters of base64 that stand for three bytes."""


def without_blobs(native: Native, sent: Iterable[Message], stored: Iterable[Message]) -> Native:
    """Return the request with the digests of blobs in place of their base64.

    `sent` are its messages with all data in URLs, and `stored` the same with digests.
    """
    encoded = {
        part.digest: url.url.partition(",")[2].encode()
        for before, after in zip(sent, stored, strict=True)
        for url, part in zip(before.media, after.media, strict=True)
        if part.digest
    }
    # One may be the beginning of another.
    for digest, base64 in sorted(encoded.items(), key=lambda item: -len(item[1])):
        if len(base64) >= SHORTEST and _is_canonical(base64):
            native = _cut(native, base64, digest)
    return native


def is_wanted(native: Native, model: Model | None, setting: ModelSettings) -> bool:
    """Return whether a worker may send the request as it is.

    `model` is the catalogue's entry, if it has one. A worker may know a newer catalogue.
    """
    return model is None or native.path in model.endpoints or setting.protocol != "auto"


def canonical(native: Native) -> bytes:
    """Return what is the same for all requests that ask for the same, streamed or not."""
    first, *rest = native.body
    body = first + b"".join(
        digest.encode() + piece for digest, piece in zip(native.blobs, rest, strict=True)
    )
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
        fields.pop("stream", None)
        return _encode(fields)
    except (msgspec.DecodeError, OverflowError, RecursionError):
        # Half of an emoji, or an integer of more than 64 bits.
        return body


def _cut(native: Native, base64: bytes, digest: str) -> Native:
    body: list[bytes] = []
    blobs: list[str] = []
    for piece, blob in zip(native.body, (*native.blobs, ""), strict=True):
        parts = piece.split(base64)
        body += parts
        blobs += [digest] * (len(parts) - 1) + [blob]
    return msgspec.structs.replace(native, body=tuple(body), blobs=tuple(blobs[:-1]))


def _is_canonical(base64: bytes) -> bool:
    """Return whether valid base64 is what its content is encoded as."""
    last = base64[-_QUANTUM:]
    return b64encode(msgspec.convert(last.decode(), bytes)) == last
