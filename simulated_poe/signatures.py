"""What only Poe can write: signatures of thoughts, and thoughts that are hidden."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_SECRET = b"known to the simulation only"


def signature(thought: str) -> str:
    """Return the signature of a thought: base64 with all of its characters, as real ones."""
    digest = hmac.digest(_SECRET, thought.encode(), "sha256")
    return base64.b64encode(b"\x12\xfb\xef\xbe" + digest + hashlib.sha512(digest).digest()).decode()


def hidden(thought: str) -> str:
    """Return a thought that nobody else can read."""
    sealed = hmac.digest(_SECRET, thought.encode(), "sha512") + thought.encode()
    return base64.b64encode(sealed).decode()


def is_hidden(data: str) -> bool:
    """Return whether this is what `hidden` has written."""
    try:
        sealed = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.digest(_SECRET, sealed[64:], "sha512") == sealed[:64]
