"""Who asks. The gateway knows digests of the access tokens, never the tokens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from contract.stored_keys import StoredKey
from gateway.config import AccessToken
from gateway.problems import invalid_api_key

OPEN = AccessToken(digest=b"", client="open", name="open")
"""Every client, where none needs a key."""


def listed(digest: bytes, tokens: Sequence[AccessToken]) -> AccessToken | None:
    """Return which of the configured tokens has this digest.

    All digests are compared, each in constant time, so the time taken reveals nothing of any key.
    """
    found: AccessToken | None = None
    for token in tokens:
        if hmac.compare_digest(digest, token.digest):
            found = token
    return found


def holder(digest: bytes, key: StoredKey) -> AccessToken | None:
    """Return the client that holds a stored key, whose secret has this digest; None: disabled."""
    if key.disabled:
        return None
    return AccessToken(
        digest=digest,
        client=key.id,
        name=key.name,
        group=key.group,
        weight=key.weight,
        max_concurrent=key.max_concurrent,
        rate_limit=key.rate_limit,
        models=key.models,
        expires=key.expires.timestamp() if key.expires else None,
        day_budget=key.day_budget,
        week_budget=key.week_budget,
        month_budget=key.month_budget,
        total_budget=key.total_budget,
        time_zone=key.time_zone,
    )


def admitted(token: AccessToken | None, now: float) -> AccessToken:
    """Return a token that is valid at `now`, in seconds of Unix time. Raises Problem for others."""
    if token is None or (token.expires is not None and token.expires <= now):
        raise invalid_api_key()
    return token


def digest_of(key: str) -> bytes:
    """Return the digest by which a key is known."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def key_of(authorization: str, *others: str) -> str:
    """Return the key in an Authorization header, or else in one of the other headers.

    The header may hold the bare key, as nicepkg/poe2gpt takes it, or the scheme twice, if whoever
    filled in a form wrote it before the key.
    """
    scheme, *words = authorization.split() or [""]
    if scheme.lower() != "bearer":
        bare = "" if words else scheme
        return next((other.strip() for other in (*others, bare) if other), "")
    if len(words) > 1 and words[0].lower() == "bearer":
        words = words[1:]
    return " ".join(words) or next((other.strip() for other in others if other), "")
