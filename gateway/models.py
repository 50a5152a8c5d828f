"""Which models there are, and what the upstream calls them."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from contract.messages import Catalogue, Model
from gateway import claude_names
from gateway.problems import Problem, model_not_found

_MAX_QUOTED = 256
"""Characters of a name that an error repeats, or that is compared with others."""
_WILDCARD = "*"
"""Stands for any text in an alias, and in the name of a model that a client may use."""
_OWNER = "poe"
"""Owns the aliases whose bot is in no catalogue."""


@dataclass(frozen=True)
class Entry:
    """One model as clients see it."""

    id: str
    created: int
    """Unix time in seconds."""
    owned_by: str
    model: Model | None
    """What the upstream's catalogue says of it, if it is there."""


class ModelTable:
    """The names that clients may use. Upper and lower case are alike.

    `bot` maps aliases to upstream names; with `allow_any`, every other name goes to the upstream
    too. In an alias, `*` stands for any text; an exact one comes first, then the first that
    matches. Names of Anthropic's, with dates and hyphens, stand for the alias or the model that
    they mean. Community bots are in no catalogue, so with `allow_any` a name that is not in it is
    passed on as it is: the upstream knows best. `created` is the creation date of the aliases, in
    seconds of Unix time.
    """

    def __init__(
        self, bot: Mapping[str, str], allow_any: bool, catalogue: Catalogue | None, created: int
    ) -> None:
        self._created = created
        self._published = catalogue
        self.configure(bot, allow_any)

    def configure(self, bot: Mapping[str, str], allow_any: bool) -> None:
        """Take other aliases."""
        self._bot = bot
        self._aliases = {alias.casefold(): upstream for alias, upstream in bot.items()}
        self._allow_any = allow_any
        self.renew(self._published)

    def renew(self, catalogue: Catalogue | None) -> None:
        """Take another catalogue."""
        self._published = catalogue
        models = catalogue.models if catalogue else ()
        self._catalogue = {model.id.casefold(): model for model in models}
        for model in models:
            if model.display_name:
                self._catalogue.setdefault(model.display_name.casefold(), model)
        named = [alias for alias in self._bot if _WILDCARD not in alias]
        self._entries = {alias.casefold(): self._alias(alias) for alias in named}
        for model in models if self._allow_any else ():
            self._entries.setdefault(model.id.casefold(), self._entry(model.id, model))
        self._claudes = [key for key in self._entries if key.startswith("claude-")]
        self.rendered: dict[Hashable, bytes] = {}
        """What dialects have rendered of this catalogue, under keys of their own."""

    def resolve(self, name: str, allowed: tuple[str, ...] = ()) -> str:
        """Return what the upstream calls the model.

        `allowed` are the names that the client may use, in which `*` stands for any text; if there
        are none, it may use all.
        Raises Problem for any other, and for one that is not an alias if only those may be used.
        """
        self._check(name, allowed)
        key = self._key(name)
        if key in self._aliases:
            return self._aliases[key]
        if not self._allow_any:
            raise self.unknown(name)
        if (model := self._catalogue.get(key)) is not None:
            return model.id
        return name if key == name.casefold() else key

    def listed(self, upstream: str) -> Model | None:
        """Return what the catalogue says of a model, by the name that `resolve` gave."""
        return self._catalogue.get(upstream.casefold())

    def context_length(self, upstream: str) -> int | None:
        """Return how many tokens a model takes, by the name that `resolve` gave, if known."""
        model = self.listed(upstream)
        return model.context_length if model else None

    def entries(self, allowed: tuple[str, ...] = ()) -> list[Entry]:
        """Return the models that a client may use: aliases first, then those of the catalogue."""
        return list(self._permitted(allowed).values())

    def entry(self, name: str, allowed: tuple[str, ...] = ()) -> Entry:
        """Return one of the models. Raises Problem if it is not among those."""
        self._check(name, allowed)
        key = self._key(name)
        if key in self._aliases and _WILDCARD in key:
            return self._entry(name, self.listed(self._aliases[key]))
        entry = self._permitted(allowed).get(key)
        if entry is None:
            raise self.unknown(name)
        return entry

    def unknown(self, name: str) -> Problem:
        """Word that a name leads nowhere, with the names that are near to it."""
        name = name[:_MAX_QUOTED]
        near = difflib.get_close_matches(name.casefold(), self._entries)
        names = ", ".join(f"'{self._entries[folded].id}'" for folded in near)
        hint = f" Did you mean {names}?" if near else " GET /v1/models lists those that do."
        return model_not_found(f"The model '{name}' does not exist.{hint}")

    def _key(self, name: str) -> str:
        """Return what a name stands for: an alias, or a model's id, in one case; else the name."""
        folded = name.casefold()
        if folded in self._aliases:
            return folded
        patterns = (alias for alias in self._aliases if _WILDCARD in alias)
        if (pattern := next((p for p in patterns if _matches(folded, p)), None)) is not None:
            return pattern
        if self._allow_any and (model := self._catalogue.get(folded)) is not None:
            return model.id.casefold()
        return claude_names.meant_by(folded, self._claudes) or folded

    def _check(self, name: str, allowed: tuple[str, ...]) -> None:
        if allowed and not self._is_allowed(name, allowed):
            message = f"The model '{name[:_MAX_QUOTED]}' is not available to this API key."
            raise model_not_found(message)

    def _is_allowed(self, name: str, allowed: tuple[str, ...]) -> bool:
        key, names = self._key(name), self._names(name)
        return any(
            any(_matches(each, one) for each in names)
            if _WILDCARD in one
            else key == self._key(one)
            for one in allowed
        )

    def _names(self, name: str) -> set[str]:
        """Return the names by which a client may be allowed what this name stands for."""
        key = self._key(name)
        model = self._catalogue.get(key) if self._allow_any else None
        if _WILDCARD in key:
            return {name.casefold()}
        if key in self._aliases or model is None:
            return {key}
        return {key, (model.display_name or model.id).casefold()}

    def _permitted(self, allowed: tuple[str, ...]) -> dict[str, Entry]:
        if not allowed:
            return self._entries
        permitted = {
            key: entry for key, entry in self._entries.items() if self._is_allowed(key, allowed)
        }
        if self._allow_any:
            # What the operator names exists, though it may be in no catalogue.
            for name in allowed:
                if _WILDCARD not in name:
                    permitted.setdefault(self._key(name), self._entry(name, None))
        return permitted

    def _alias(self, alias: str) -> Entry:
        return self._entry(alias, self._catalogue.get(self._bot[alias].casefold()))

    def _entry(self, name: str, model: Model | None) -> Entry:
        created = model.created if model and model.created > 0 else self._created
        return Entry(name, created, model.owned_by if model else _OWNER, model)


def _matches(folded: str, pattern: str) -> bool:
    """Return whether a name in one case is one that the pattern stands for."""
    first, *middle, last = pattern.casefold().split(_WILDCARD)
    if not folded.startswith(first) or not folded.endswith(last):
        return False
    at, end = len(first), len(folded) - len(last)
    for part in middle:
        at = folded.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return at <= end
