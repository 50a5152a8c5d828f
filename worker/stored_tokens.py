"""The worker's Poe tokens: those of the configuration, and those that were added at run time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from contract.stored_tokens import StoredToken
from worker.config import Entry, PoeToken, WorkerConfig, agreed_tokens, token_of
from worker.queue import Queue
from worker.sealing import CannotUnseal, unseal

_log = logging.getLogger("worker")


class StoredTokens:
    """Follows the tokens that are kept in Redis. The configuration's settings of a token win.

    `on_change` gets all tokens whenever they may have changed, and is called too when one was
    parked or unparked by hand.
    """

    def __init__(
        self,
        config: WorkerConfig,
        queue: Queue,
        on_change: Callable[[tuple[PoeToken, ...]], None],
    ) -> None:
        self._config = config
        self._queue = queue
        self._on_change = on_change
        self._version = "0"
        self._stored: dict[str, StoredToken] = {}

    def configure(self, config: WorkerConfig) -> None:
        """Take the tokens and the limits of another configuration."""
        self._config = config
        self._on_change(self._all())

    async def refresh(self) -> bool:
        """Take over what has changed in Redis; return whether anything has. Raises RedisFault."""
        listed = await self._queue.tokens.stored(self._version)
        if listed.tokens is None:
            return False
        for id_ in listed.unreadable:
            _log.error("the added token %s was written by another version", id_)
        self._stored = listed.tokens
        self._on_change(self._all())
        self._version = listed.version
        return True

    def _all(self) -> tuple[PoeToken, ...]:
        configured = {token.id: token for token in self._config.tokens}
        opened = {token.id: token for token in self._opened()}
        return agreed_tokens([*{**opened, **configured}.values()])

    def _opened(self) -> Iterable[PoeToken]:
        if self._stored and not self._config.token_key:
            _log.warning(
                "%d Poe tokens were added at run time, and cannot be used without `tokenKey`",
                len(self._stored),
            )
            return
        for id_, stored in self._stored.items():
            try:
                token = opened(stored, self._config)
            except CannotUnseal:
                _log.error(
                    "the added token %s cannot be used: it was encrypted under another `tokenKey`",
                    stored.label,
                )
                continue
            if token.id != id_:
                # By its own name it counts once, should the configuration have it too.
                _log.warning(
                    "the added token %s is called %s here: it was added with another"
                    " `fingerprintKey`",
                    stored.label,
                    token.label,
                )
            yield token


def opened(stored: StoredToken, config: WorkerConfig) -> PoeToken:
    """Return a stored token with its secret. Raises CannotUnseal."""
    entry = Entry(
        "",
        account=stored.account,
        rate_limit=stored.rate_limit,
        cool_down=stored.cool_down,
        max_in_flight=stored.max_in_flight,
    )
    return token_of(unseal(stored.sealed, config.token_key), entry, config)
