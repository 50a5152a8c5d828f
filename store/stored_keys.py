"""What can be done with stored keys, for all that administer them: a command, a service."""

from __future__ import annotations

import builtins
import datetime
import secrets
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from contract.budgets import budgets_of
from contract.calls.stored_keys import (
    PAGE,
    AddKey,
    ChangeKey,
    ReadKey,
    ReadKeys,
    RemoveKey,
    RotateKey,
)
from contract.config import Source
from contract.stored_keys import (
    RANDOM_BYTES,
    StoredKey,
    changes,
    digest_of,
    fields_of,
    secret_of,
    terms,
)
from store.budgets import Standing, standings
from store.run import Run


class NameTaken(Exception):
    """Another key has this name."""


class UnknownKey(Exception):
    """No key has this name or id."""


def whole_second() -> datetime.datetime:
    """Return what time it is."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


class StoredKeys:
    """The stored keys of one deployment. A key is named by its name or its id.

    All raise RedisFault; with what is given, ConfigError for a mistake in it.
    """

    def __init__(self, run: Run, now: Callable[[], datetime.datetime] = whole_second) -> None:
        self.run = run
        """Runs other calls on the same Redis."""
        self._now = now

    async def add(self, given: Source) -> tuple[StoredKey, str]:
        """Make a key, and return it with its secret, which nobody can learn again.

        Raises NameTaken.
        """
        now, secret = self._now(), secret_of(secrets.token_bytes(RANDOM_BYTES))
        of_terms = fields_of(terms(given, now))
        fields = {**of_terms, "created": msgspec.json.encode(now)}
        id_ = secrets.token_hex(8)
        if not await self.run(AddKey(id_, digest_of(secret), fields)):
            raise NameTaken
        return await self.show(id_), secret

    async def list(self) -> AsyncIterator[StoredKey]:
        """Iterate all keys in the order in which they were made."""
        start = 0
        while page := await self.run(ReadKeys(start)):
            for key in page:
                yield key
            start += PAGE

    async def show(self, reference: str) -> StoredKey:
        """Return a key. Raises UnknownKey."""
        key = await self.run(ReadKey(reference))
        if key is None:
            raise UnknownKey
        return key

    async def standings(self, key: StoredKey) -> builtins.list[Standing]:
        """Return how far a key's budgets are spent."""
        return await standings(self.run, budgets_of("key", key.id, key.name, key, time.time()))

    async def change(self, reference: str, given: Source) -> StoredKey:
        """Set what is given of a key; None gives a setting its default.

        Raises UnknownKey and NameTaken.
        """
        has = (await self.show(reference)).expires if given.values.get("expires") else None
        return await self._change(reference, changes(given, self._now(), has))

    async def set_disabled(self, reference: str, disabled: bool) -> StoredKey:
        """Refuse a key until it is enabled again, or enable it. Raises UnknownKey."""
        return await self._change(reference, {"disabled": b"true" if disabled else b""})

    async def rotate(self, reference: str, grace: float) -> tuple[StoredKey, str]:
        """Give a key another secret, and return both; those that it has end in `grace` seconds.

        Raises UnknownKey.
        """
        key, secret = await self.show(reference), secret_of(secrets.token_bytes(RANDOM_BYTES))
        if not await self.run(RotateKey(key.id, digest_of(secret), grace)):
            raise UnknownKey
        return await self.show(key.id), secret

    async def remove(self, reference: str) -> StoredKey:
        """Delete a key, and return what it was. Raises UnknownKey."""
        key = await self.show(reference)
        if not await self.run(RemoveKey(key.id)):
            raise UnknownKey
        return key

    async def _change(self, reference: str, fields: dict[str, bytes]) -> StoredKey:
        key = await self.show(reference)
        match await self.run(ChangeKey(key.id, fields)):
            case "unknown":
                raise UnknownKey
            case "name taken":
                raise NameTaken
        return await self.show(key.id)
