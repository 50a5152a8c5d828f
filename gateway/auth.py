"""Who asks. The gateway knows digests of the access tokens, never the tokens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from gateway.config import AccessToken
from gateway.problems import invalid_api_key

OPEN = AccessToken(digest=b"", client="open", name="open")
"""Every client, where no access token is configured."""


def authenticate(key: str, tokens: Sequence[AccessToken], now: float) -> AccessToken:
    """Return whose key this is; `now` is Unix time in seconds. Raises Problem.

    All digests are compared, each in constant time, so the time taken reveals nothing of any key.
    """
    if not tokens:
        return OPEN
    digest = digest_of(key)
    found: AccessToken | None = None
    for token in tokens:
        if hmac.compare_digest(digest, token.digest):
            found = token
    if found is None or (found.expires is not None and found.expires <= now):
        raise invalid_api_key()
    return found


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
