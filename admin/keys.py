"""The API for keys: what is asked in, what is answered out, whatever serves it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from admin.refusal import Refusal
from contract import stored_keys
from contract.config import ConfigError, Given
from contract.stored_keys import SETTABLE, StoredKey
from store.stored_keys import NameTaken, StoredKeys, UnknownKey

GRACE = "24h"
"""How long a secret that is replaced stays valid, where nothing else is said."""


class KeysAPI:
    """Each method answers one kind of request with what becomes JSON.

    `key` is a key's name or id; `body` is a JSON object. Raises Refusal and RedisFault.
    """

    def __init__(self, store: StoredKeys) -> None:
        self._store = store

    async def list(self) -> dict[str, Any]:
        """Return all keys, in the order in which they were made."""
        return {"keys": [_described(key) async for key in self._store.list()]}

    async def add(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a key, and return it with its secret."""
        with _refusals():
            key, secret = await self._store.add(_given(body))
        return {**_described(key), "secret": secret}

    async def show(self, key: str) -> dict[str, Any]:
        with _refusals():
            return _described(await self._store.show(key))

    async def change(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set what the body has; `null` gives a setting its default."""
        with _refusals():
            return _described(await self._store.change(key, _given(body)))

    async def rotate(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Give a key another secret, and return it with that. The body may have a `grace`."""
        with _refusals():
            found, secret = await self._store.rotate(key, _grace(body))
        return {**_described(found), "secret": secret}

    async def disable(self, key: str) -> dict[str, Any]:
        with _refusals():
            return _described(await self._store.set_disabled(key, True))

    async def enable(self, key: str) -> dict[str, Any]:
        with _refusals():
            return _described(await self._store.set_disabled(key, False))

    async def remove(self, key: str) -> dict[str, Any]:
        with _refusals():
            return _described(await self._store.remove(key))


def object_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a request's body is; an empty body is an empty one.

    Raises Refusal.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(400, "The body must be a JSON object.") from None


@contextmanager
def _refusals() -> Iterator[None]:
    """Inside the block, what the store raises becomes a Refusal."""
    try:
        yield
    except UnknownKey:
        raise Refusal(404, "There is no such key.") from None
    except NameTaken:
        raise Refusal(409, "Another key has this name.") from None
    except ConfigError as error:
        raise Refusal(400, str(error)) from None


def _given(body: Mapping[str, Any]) -> Given:
    return Given(dict(body), {name: name for name in (*SETTABLE, *body)})


def _grace(body: Mapping[str, Any]) -> float:
    if unknown := set(body) - {"grace"}:
        raise Refusal(400, f"`{min(unknown)}`: unknown key; did you mean `grace`?")
    try:
        return stored_keys.seconds(str(body.get("grace", GRACE)))
    except ValueError as error:
        raise Refusal(400, f"`grace`: {error}") from None


def _described(key: StoredKey) -> dict[str, Any]:
    return stored_keys.described(key, datetime.datetime.now(datetime.UTC))
