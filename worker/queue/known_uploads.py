"""Where the files are that accounts have uploaded to Poe, as far as they are remembered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contract.calls.call import milliseconds
from contract.codec import encode
from worker.poe.uploads import UploadedFile
from worker.queue.session import RedisSession, reply_of


class KnownUploads:
    """The uploads of all workers, by account and by the digest of the content."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session

    async def find(self, account: str, digests: Sequence[str]) -> list[UploadedFile | None]:
        """Return where the account's uploads of these contents are, if they are remembered."""
        names = [self._session.keys.upload(account, digest) for digest in digests]
        rows = await reply_of(self._session.redis.mget(*names))
        return [row and msgspec.msgpack.decode(row, type=UploadedFile) for row in rows]

    async def remember(self, account: str, digest: str, file: UploadedFile, life: float) -> None:
        """Remember for `life` seconds where the account's upload of this content is."""
        key = self._session.keys.upload(account, digest)
        await self._session.redis.set(key, encode(file), px=milliseconds(life))

    async def forget(self, account: str, digests: Sequence[str]) -> None:
        """Forget where the account's uploads of these contents are."""
        await self._session.redis.delete(
            *(self._session.keys.upload(account, digest) for digest in digests)
        )
