"""The JSON schemas that come in a request: of a function's arguments, or of the answer.

To check one takes a millisecond for each of its kilobytes, and agents send the same ones with
every turn: so verdicts are remembered.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from contract.json_schema import check_schema
from gateway.problems import invalid_value
from gateway.render.body import bounded
from gateway.render.schema_nulls import without_nulls

MAX_BYTES = 1024 * 1024
"""Of all schemas of one request, as compact JSON."""

_MAX_VERDICTS = 4_096

_verdicts: dict[bytes, str | None] = {}


class SchemaReader:
    """Checks the schemas of one request, all of which share a bound."""

    def __init__(self) -> None:
        self._bytes = 0

    def read(self, schema: dict[str, Any] | None, path: str) -> dict[str, Any] | None:
        """Return the schema. Raises Problem, which names the path, if it is none."""
        if schema is None:
            return None
        try:
            encoded = msgspec.json.encode(schema)
            if b"null" in encoded:
                schema = without_nulls(schema)
                encoded = msgspec.json.encode(schema)
        except RecursionError as error:
            raise invalid_value(path, "it is nested too deeply") from error
        self._bytes += len(encoded)
        if self._bytes > MAX_BYTES:
            raise invalid_value(path, f"all schemas together are larger than {MAX_BYTES} bytes")
        digest = hashlib.sha256(encoded).digest()
        if digest not in _verdicts:
            _remember(digest, check_schema(bounded(schema, path)))
        if fault := _verdicts[digest]:
            raise invalid_value(path, fault)
        return schema


def _remember(digest: bytes, fault: str | None) -> None:
    if len(_verdicts) >= _MAX_VERDICTS:
        _verdicts.clear()
    _verdicts[digest] = fault
