"""Request bodies: small ones are parsed at once, large ones in a child process.

The child bears what a large body costs, and only the same client's other large bodies wait for
it, or whoever finds every child busy: the streams of this gateway go on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib import import_module
from itertools import accumulate, pairwise
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec

from gateway.dialect import Archive, Ask, Endpoint, Posted
from gateway.exchange.blobs import Blobs, detached
from gateway.exchange.native import canonical, without_blobs
from gateway.problems import Problem, fields_of, invalid_request
from gateway.render.usage import estimate_prompt
from runtime.offload import Offload, TooCostly

AT_ONCE = 32 * 1024
"""Bytes of a body that is parsed at once, in a few milliseconds at worst: most are smaller."""

PROCESSES = 2
SECONDS = 5.0
"""CPU time for one body. One of 32 MiB takes about half a second."""
_MEMORY = 256 * 1024 * 1024
_MEMORY_PER_BYTE = 16
"""Address space: one emoji makes a text take four bytes a character, and there are a few copies."""

_PARSED, _REFUSED = b"+", b"-"

A = TypeVar("A", bound=Ask)

_encode = msgspec.msgpack.Encoder().encode
# The order of an object's members means nothing, and clients that send again may change it.
_canonical = msgspec.msgpack.Encoder(order="deterministic").encode


class Bodies:
    """Parses the bodies of all requests to one gateway, of at most `largest` bytes each."""

    def __init__(self, largest: int) -> None:
        self._offload = Offload(
            "gateway.exchange.bodies:parse_apart",
            processes=PROCESSES,
            seconds=SECONDS,
            memory=_MEMORY + _MEMORY_PER_BYTE * largest,
        )
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def parse(self, endpoint: Posted[A], body: bytes, client: str) -> tuple[A, Blobs]:
        """Return what a body asks for, and the content of its attachments, which the messages name.

        Raises Problem that names the offending field.

        A client has one large body parsed at a time.
        """
        if len(body) <= AT_ONCE:
            return _detached(endpoint.parse(body))
        return await self._parse_apart(endpoint, endpoint.parse, body, (), client)

    async def parse_after(
        self,
        endpoint: Endpoint[A],
        archive: Archive[A],
        body: bytes,
        earlier: Sequence[bytes],
        client: str,
    ) -> tuple[A, Blobs]:
        """Return as `parse` does what a body asks for that goes on from these parts."""
        if len(body) + sum(map(len, earlier)) <= AT_ONCE:
            return _detached(archive.parse_after(body, earlier))
        return await self._parse_apart(endpoint, archive.parse_after, body, earlier, client)

    async def _parse_apart(
        self,
        endpoint: Posted[A],
        parse: Callable[..., A],
        body: bytes,
        earlier: Sequence[bytes],
        client: str,
    ) -> tuple[A, Blobs]:
        turn = self._turns.setdefault(client, asyncio.Lock())
        async with turn:
            try:
                answer = await self._offload.call(*framed(endpoint, body, parse, earlier))
            except TooCostly:
                raise invalid_request(
                    "The request's body takes too much time or memory to read."
                    " Send a smaller or a simpler one."
                ) from None
        return unframed(endpoint, answer)

    async def close(self) -> None:
        """End the child processes."""
        await self._offload.close()


def digest_of(endpoint: str, ask: Ask) -> str:
    """Return what is the same for all requests that ask for the same, streamed or not."""
    asked: tuple[Any, ...] = (endpoint, ask.model, ask.messages, ask.options, ask.choices)
    if ask.native is not None:
        # Poe may get what no translation has.
        asked += (canonical(ask.native),)
    if ask.in_background:
        # Such a request is answered at once, and otherwise.
        asked += ("background",)
    return sha256(_canonical(asked)).hexdigest()


def prompt_tokens(ask: Ask) -> int:
    """Return the estimate for the conversation."""
    return ask.prompt_tokens or estimate_prompt(ask.messages, ask.options.tools)


def framed(
    endpoint: Posted[A],
    body: bytes,
    parse: Callable[..., A] | None = None,
    earlier: Sequence[bytes] = (),
) -> tuple[bytes, ...]:
    """Return what `parse_apart` takes, in pieces: who parses, then the body and what is before it.

    The parts of a conversation that are before the body have their lengths in the first line.
    """
    parse = parse or endpoint.parse
    lengths = ",".join(str(len(part)) for part in earlier)
    head = f"{parse.__module__}:{parse.__name__}:{endpoint.name}:{lengths}\n"
    return head.encode(), *earlier, body


def _detached(ask: A) -> tuple[A, Blobs]:
    messages, blobs = detached(ask.messages)
    native = ask.native and without_blobs(ask.native, ask.messages, messages)
    return msgspec.structs.replace(ask, messages=messages, native=native), blobs


def parse_apart(data: bytes) -> bytes:
    """Parse a body, from bytes to bytes: `runtime.offload` runs this in a child process.

    What takes long for a large body is worked out here as well: the content of its attachments,
    its digest and its estimate.
    """
    head, _, body = data.partition(b"\n")
    del data
    module, function, endpoint, lengths = head.decode().split(":")
    parse: Callable[..., Ask] = getattr(import_module(module), function)
    ends = [0, *accumulate(map(int, filter(None, lengths.split(","))))]
    earlier = [body[start:end] for start, end in pairwise(ends)]
    body = body[ends[-1] :]
    try:
        ask, blobs = _detached(parse(body, earlier) if earlier else parse(body))
    except Problem as problem:
        return _REFUSED + _encode(fields_of(problem))
    ask = msgspec.structs.replace(
        ask, digest=digest_of(endpoint, ask), prompt_tokens=prompt_tokens(ask)
    )
    return _PARSED + _encode((ask, blobs))


def unframed(endpoint: Posted[A], answer: bytes) -> tuple[A, Blobs]:
    """Return what `parse_apart` has parsed. Raises the Problem that it has met."""
    if answer.startswith(_REFUSED):
        raise invalid_request(**msgspec.msgpack.decode(answer[1:]))
    parsed: tuple[A, Blobs] = msgspec.msgpack.decode(
        memoryview(answer)[1:],
        type=tuple[endpoint.ask, dict[str, bytes]],  # type: ignore[name-defined]
    )
    return parsed
