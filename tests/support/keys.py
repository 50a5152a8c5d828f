"""The names in Redis of a deployment with the default prefix."""

from __future__ import annotations

from contract.keys import DEFAULT_KEYS

keys = DEFAULT_KEYS
