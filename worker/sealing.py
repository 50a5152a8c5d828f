"""Encrypts the secrets of Poe tokens that are kept in Redis, under the workers' `tokenKey`."""

from __future__ import annotations

import base64
import hashlib
from typing import Protocol


class _Cipher(Protocol):
    def encrypt(self, data: bytes) -> bytes: ...

    def decrypt(self, token: bytes) -> bytes: ...


class CannotUnseal(Exception):
    """It was sealed under another key, or is damaged."""


def seal(secret: str, key: str) -> bytes:
    """Return a secret, encrypted under a key."""
    return _cipher(key).encrypt(secret.encode())


def unseal(sealed: bytes, key: str) -> str:
    """Return a secret that was sealed under this key. Raises CannotUnseal."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415

    try:
        return _cipher(key).decrypt(sealed).decode()
    except (InvalidToken, UnicodeDecodeError):
        raise CannotUnseal from None


def _cipher(key: str) -> _Cipher:
    # Imported on demand: most workers have no such tokens, and the import takes a while.
    from cryptography.fernet import Fernet  # noqa: PLC0415

    # The key has 256 random bits, so no slow derivation is needed.
    digest = hashlib.sha256(b"p2g-token-key\0" + key.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))
