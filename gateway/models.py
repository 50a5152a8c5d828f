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
        self._listings: dict[tuple[str, ...], bytes] = {}

    def resolve(self, name: str, allowed: tuple[str, ...] = ()) -> str:
        """Return what the upstream calls the model.

        `allowed` are the names that the client may use; if there are none, it may use all.
        Raises ApiError, a 404, for any other, and for one that is no alias if only those are.
        """
        self._check(name, allowed)
        folded = name.casefold()
        if folded in self._aliases:
            return self._aliases[folded]
        if not self._allow_any:
            raise self.unknown(name)
        model = self._catalogue.get(folded)
        return model.id if model else name

    def context_length(self, upstream: str) -> int | None:
        """Return how many tokens a model takes, by the name that `resolve` gave, if known."""
        model = self._catalogue.get(upstream.casefold())
        return model.context_length if model else None

    def listing(self, allowed: tuple[str, ...] = ()) -> bytes:
        """Render the list of models: aliases first, then the catalogue if it may be used.

        A client that may use only some is shown those. Each list is rendered once: user
        interfaces ask for it all the time, and there are no more lists than access tokens.
        """
        if allowed not in self._listings:
            data = list(self._permitted(allowed).values())
            self._listings[allowed] = _json({"object": "list", "data": data})
        return self._listings[allowed]

    def one(self, name: str, allowed: tuple[str, ...] = ()) -> bytes:
        """Render one model of the list. Raises ApiError, a 404, if it is not there."""
        self._check(name, allowed)
        entry = self._permitted(allowed).get(self._key(name))
        if entry is None:
            raise self.unknown(name)
        return _json(entry)

    def _key(self, name: str) -> str:
        """Return the key of a name's entry, be it its id or its display name."""
        folded = name.casefold()
        model = self._catalogue.get(folded) if self._allow_any else None
        return folded if folded in self._entries or model is None else model.id.casefold()

    def _check(self, name: str, allowed: tuple[str, ...]) -> None:
        if allowed and self._key(name) not in map(self._key, allowed):
            message = f"The model '{name[:_MAX_QUOTED]}' is not available to this API key."
            raise model_not_found(message)

    def _permitted(self, allowed: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        if not allowed:
            return self._entries
        names = {self._key(name): name for name in allowed}
        permitted = {key: entry for key, entry in self._entries.items() if key in names}
        if self._allow_any:
            # What the operator names is there, though it may be in no catalogue.
            for key, name in names.items():
                permitted.setdefault(key, self._entry(name, None))
        return permitted

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

    def unknown(self, name: str) -> ApiError:
        """404 for a name that leads nowhere, with those that are near to it."""
        name = name[:_MAX_QUOTED]
        near = difflib.get_close_matches(name.casefold(), self._entries)
        names = ", ".join(f"'{self._entries[folded]['id']}'" for folded in near)
        hint = f" Did you mean {names}?" if near else " GET /v1/models lists those that do."
        return model_not_found(f"The model '{name}' does not exist.{hint}")


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
    return json.dumps(value, separators=(",", ":")).encode("ascii")
