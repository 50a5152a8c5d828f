"""Which models there are, and what the upstream calls them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from contract.messages import Catalogue, Model
from gateway.openai.errors import ApiError, model_not_found

_MAX_QUOTED = 256
"""Characters of a name that an error repeats, or that is compared with others."""
_OWNER = "poe"
"""Owns the aliases whose bot is in no catalogue."""
_PASSED_ON = {"text"}
"""What this deployment can send to a model, whatever else the model takes."""


class ModelTable:
    """The names that clients may use. Upper and lower case are alike.

    `bot` maps aliases to upstream names; with `allow_any`, every other name goes to the upstream
    too. Community bots are in no catalogue, so with `allow_any` a name that is not in it is
    passed on as it is: the upstream knows best. `created` is the aliases' birthday, in seconds
    of Unix time.
    """

    def __init__(
        self, bot: Mapping[str, str], allow_any: bool, catalogue: Catalogue | None, created: int
    ) -> None:
        models = catalogue.models if catalogue else ()
        self._catalogue = {model.id.casefold(): model for model in models}
        for model in models:
            if model.display_name:
                self._catalogue.setdefault(model.display_name.casefold(), model)
        self._aliases = {alias.casefold(): upstream for alias, upstream in bot.items()}
        self._allow_any = allow_any
        self._created = created
        self._entries = {alias.casefold(): self._alias(alias, bot[alias]) for alias in bot}
        for model in models if allow_any else ():
            self._entries.setdefault(model.id.casefold(), self._entry(model.id, model))
        self._listing = _json({"object": "list", "data": list(self._entries.values())})

    def resolve(self, name: str) -> str:
        """Return what the upstream calls the model.

        Raises ApiError, a 404, for a name that is no alias if only those are allowed.
        """
        folded = name.casefold()
        if folded in self._aliases:
            return self._aliases[folded]
        if not self._allow_any:
            raise self._unknown(name)
        model = self._catalogue.get(folded)
        return model.id if model else name

    def context_length(self, upstream: str) -> int | None:
        """Return how many tokens a model takes, by the name that `resolve` gave, if known."""
        model = self._catalogue.get(upstream.casefold())
        return model.context_length if model else None

    def listing(self) -> bytes:
        """Render the list of models: aliases first, then the catalogue if it may be used."""
        return self._listing

    def one(self, name: str) -> bytes:
        """Render one model of the list. Raises ApiError, a 404, if it is not there."""
        folded = name.casefold()
        if folded not in self._entries and self._allow_any and folded in self._catalogue:
            folded = self._catalogue[folded].id.casefold()
        if folded not in self._entries:
            raise self._unknown(name)
        return _json(self._entries[folded])

    def _alias(self, alias: str, upstream: str) -> dict[str, Any]:
        return self._entry(alias, self._catalogue.get(upstream.casefold()))

    def _entry(self, name: str, model: Model | None) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "id": name,
            "object": "model",
            "created": model.created if model and model.created > 0 else self._created,
            "owned_by": model.owned_by if model else _OWNER,
        }
        return entry | (_extras(model) if model else {})

    def _unknown(self, name: str) -> ApiError:
        name = name[:_MAX_QUOTED]
        near = difflib.get_close_matches(name.casefold(), self._entries)
        names = ", ".join(f"'{self._entries[folded]['id']}'" for folded in near)
        hint = f" Did you mean {names}?" if near else " GET /v1/models lists those that do."
        return model_not_found(f"The model '{name}' does not exist.{hint}")


def _extras(model: Model) -> dict[str, Any]:
    """Return what OpenAI's models do not have, under the names that Poe and others use."""
    architecture = {
        "input_modalities": [m for m in model.input_modalities if m in _PASSED_ON],
        "output_modalities": list(model.output_modalities),
    }
    extras = {
        "display_name": model.display_name,
        "context_length": model.context_length,
        "architecture": {key: value for key, value in architecture.items() if value},
    }
    return {key: value for key, value in extras.items() if value}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
