"""The list of models, and one of them, as OpenAI's API shows them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import orjson

from contract.messages import Model
from gateway.models import Entry, ModelTable


def listing(models: ModelTable, allowed: tuple[str, ...], _: str = "", query: str = "") -> bytes:
    """Render the models that a client may use.

    Codex, which tells its version in the query, wants `models` beside OpenAI's `data`, and gets it
    empty: an entry there has to bring the model's instructions, which replace Codex's own.

    Each list is rendered once: user interfaces ask for it all the time, and there are no more
    lists than access tokens.
    """
    key = ("openai", allowed)
    if key not in models.rendered:
        data = [_fields(entry) for entry in models.entries(allowed)]
        models.rendered[key] = _json({"object": "list", "data": data})
    rendered = models.rendered[key]
    if "client_version" in parse_qs(query, keep_blank_values=True):
        return rendered[:-1] + b',"models":[]}'
    return rendered


def one(models: ModelTable, allowed: tuple[str, ...], name: str, _: str = "") -> bytes:
    """Render one model of the list. Raises Problem if it is not there."""
    return _json(_fields(models.entry(name, allowed)))


def _fields(entry: Entry) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": entry.id,
        "object": "model",
        "created": entry.created,
        "owned_by": entry.owned_by,
    }
    return fields | (_extras(entry.model) if entry.model else {})


def _extras(model: Model) -> dict[str, Any]:
    """Return what OpenAI's models do not have, under the names that Poe and others use."""
    architecture = {
        "input_modalities": list(model.input_modalities),
        "output_modalities": list(model.output_modalities),
    }
    extras = {
        "display_name": model.display_name,
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "architecture": {key: value for key, value in architecture.items() if value},
        "supported_features": list(model.features),
    }
    return {key: value for key, value in extras.items() if value}


def _json(value: object) -> bytes:
    return orjson.dumps(value)
