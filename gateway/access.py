"""Lets requests in: finds the client by the key, in the configuration first and then in Redis."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from contract.calls.stored_keys import Found
from contract.stored_keys import may_be_secret
from gateway.auth import OPEN, admitted, digest_of, holder, key_of, listed
from gateway.config import AccessToken, GatewayConfig
from gateway.http import Request
from gateway.problems import Kind, Problem, invalid_api_key, too_many_wrong_keys, unavailable
from gateway.queue.stored_keys import StoredKeys
from runtime.guesses import Guesses
from store.faults import RedisFault

_log = logging.getLogger("gateway")

RETRY_AFTER = 1.0
"""Seconds after which to try again while keys cannot be looked up."""


class Access:
    """Who may ask. `on_refusal` hears of each refused key: `wrong` or `throttled`."""

    def __init__(
        self, config: GatewayConfig, stored: StoredKeys, on_refusal: Callable[[str], None]
    ) -> None:
        self._config = config
        self._stored = stored
        self._on_refusal = on_refusal
        self._guesses = Guesses()

    def configure(self, config: GatewayConfig) -> None:
        """Take other settings. Raises ValueError for such as would let everyone in."""
        if self._config.needs_key and not config.needs_key:
            raise ValueError(
                "without accessTokens and requireKey anyone could ask: restart the gateway for that"
            )
        self._config = config

    async def client(self, request: Request) -> AccessToken:
        """Return who asks. Raises Problem, also for an address that guesses."""
        key = key_of(
            request.header("authorization"), request.header("x-api-key"), request.header("api-key")
        )
        if await self._is_open():
            return OPEN
        if not key:
            # That is not a guess.
            raise invalid_api_key()
        return await self._unless_guessed(request.address, key)

    async def _is_open(self) -> bool:
        """Return whether nobody needs a key, because there is none."""
        if self._config.access_tokens or self._config.require_key:
            return False
        return not (await self._found("")).is_any_made

    async def _unless_guessed(self, address: str, key: str) -> AccessToken:
        now, digest = time.monotonic(), digest_of(key)
        # A stored key is too long to be guessed: one that is refused was replaced or removed, and
        # who goes on with it must not keep out others of its address, who have its successor.
        may_be_guessed = not may_be_secret(key)
        if may_be_guessed and (wait := self._guesses.wait(address, digest, now)):
            self._tell(address, "throttled", self._guesses.throttled(address, now))
            raise too_many_wrong_keys(wait)
        try:
            client = admitted(await self._holder(key, digest), time.time())
        except Problem as problem:
            if problem.kind is Kind.UNAUTHENTICATED:
                count = self._guesses.wrong(address, now, digest) if may_be_guessed else 0
                self._tell(address, "wrong", count)
            raise
        if may_be_guessed:
            self._guesses.accepted(address, digest)
        return client

    async def _holder(self, key: str, digest: bytes) -> AccessToken | None:
        if token := listed(digest, self._config.access_tokens):
            return token
        if not may_be_secret(key):
            return None
        found = (await self._found(digest.hex())).key
        return holder(digest, found) if found else None

    async def _found(self, digest: str) -> Found:
        try:
            return await self._stored.find(digest)
        except (*RedisFault, msgspec.DecodeError) as fault:
            _log.warning("cannot look up an access token: %r", fault)
            message = "API keys cannot be checked at the moment. Try again in a moment."
            raise unavailable(message, RETRY_AFTER) from None

    def _tell(self, address: str, verdict: str, count: int) -> None:
        self._on_refusal(verdict)
        if count:
            _log.warning("wrong keys", extra={"address": address, "count": count})
