"""Who asks. The gateway knows digests of the access tokens, never the tokens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from gateway.config import AccessToken
from gateway.openai.errors import invalid_api_key

OPEN = AccessToken(digest=b"", client="open", name="open")
"""Everyone, where no access token is configured."""


def authenticate(key: str, tokens: Sequence[AccessToken], now: float) -> AccessToken:
    """Return whose key this is; `now` is Unix time in seconds. Raises ApiError (401).

    All digests are compared, each in constant time: how long it takes tells nothing of any key.
    """
    if not tokens:
        return OPEN
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    found: AccessToken | None = None
    for token in tokens:
        if hmac.compare_digest(digest, token.digest):
            found = token
    if found is None or (found.expires is not None and found.expires <= now):
        raise invalid_api_key()
    return found


def key_of(authorization: str, *others: str) -> str:
    """The key in an Authorization header, or else in one of the headers that some clients use."""
    scheme, _, key = authorization.strip().partition(" ")
    if scheme.lower() == "bearer" and key:
        return key.strip()
    return next((other.strip() for other in others if other), "")
