"""The names in Redis of a deployment that is given no other prefix."""

from __future__ import annotations

from contract.keys import DEFAULT_KEYS

keys = DEFAULT_KEYS
