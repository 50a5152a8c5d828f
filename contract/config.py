"""Reading settings: what the configurations of gateway and worker have in common.

Values come from several sources (a file, the environment, the command line) under the names
that they have in `config.toml`. Each source can tell where a value of it stands, so that a
mistake is reported as "config.toml:12: `rateLimit` = 0: expected a whole number >= 1".

Values under the keys in `_SECRETS` are never part of an error.
"""

from __future__ import annotations

import difflib
import hmac
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol, TypeVar, get_args

import msgspec

from contract import texts
from contract.lookalikes import first_lookalike, lookalike

REDIS_URL = "redis://127.0.0.1:6379/0"

KeyPrefix = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]*\Z")
]
"""The prefix of a deployment's keys in Redis."""

MOST_REMARKS = 5
"""Warnings of one kind that are shown: each costs a search for its line, and none reads more."""

Key = tuple[str | int, ...]
"""Where a value stands: `("tokens", 0, "rateLimit")`."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_SECRETS = {
    "tokens",
    "token",
    "accessTokens",
    "key",
    "redisUrl",
    "proxy",
    "fingerprintKey",
    "tokenKey",
    "adminToken",
    "budgetWebhook",
}
_MESSAGE = re.compile(r"(?P<text>.*?)(?: - at `(?:key` in `)?\$(?P<key>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_BARE = re.compile(r"[\w-]*", re.ASCII)
"""What TOML takes as a key without quotes."""
_PLACE = re.compile(
    r"(?:[^/@]*@)?(?:\[[\da-fA-F:.]+\]|[^\s:@\[\]/]+)"
    r"(?::(?:6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3}))?(?:/.*)?"
)
"""What follows the scheme of a URL: [user:password@]host[:port][/path]."""
_SOCKS = "; SOCKS is not supported"
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")


_MISMATCH = re.compile(r"Expected `(?P<expected>[a-z |]+)`(?:, got `\w+`| (?P<bound>[<>]=? .*))")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "array": 'a list such as ["…"]',
    "object": "a table",
    "bool": "true or false",
    "date": "a date such as 2027-12-31",
}
"""What msgspec calls types, as people who write TOML know them."""


class ConfigError(Exception):
    """What an operator has to change, and where. Holds no secret."""


UpstreamName = Literal["bot", "messages", "responses", "openai"]
"""The upstreams of a worker, each a folder there. The first is asked where no other one suits, of
those the first that suits; what that one refuses is tried from the end."""


ReasoningMode = Literal["separate", "inline", "drop"]
"""Whether a model's thoughts come beside its answer, within it, or not at all."""


class ModelSettings(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How one model is asked, and how its answers are shown."""

    protocol: Literal["auto", UpstreamName] = "auto"
    """Which upstream it is asked over."""
    reasoning: ReasoningMode = "separate"
    tool_emulation: bool = False
    """Whether tools are described to it in words, should it know no others."""


class Source(Protocol):
    """Values by their names in `config.toml`."""

    @property
    def values(self) -> Mapping[str, Any]: ...

    def where(self, key: Key) -> str:
        """Name the place of a value, for the beginning of a message."""


class File(msgspec.Struct, frozen=True):
    """A parsed `config.toml`."""

    name: str
    text: str
    values: dict[str, Any]

    def where(self, key: Key) -> str:
        line = _line(self.text, key)
        return f"{self.name}:{line}: `{_dotted(key)}`" if line else f"{self.name}: `{_dotted(key)}`"


class Given(msgspec.Struct, frozen=True):
    """Values that were given under other names: environment variables or flags."""

    values: dict[str, Any]
    names: dict[str, str]

    def where(self, key: Key) -> str:
        name = self.names[str(key[0])]
        return f"`{name}`" if len(key) == 1 else f"`{name}`: `{_dotted(key)}`"


class _Nowhere:
    """The source of what nobody has given."""

    values: Mapping[str, Any] = MappingProxyType({})

    def where(self, key: Key) -> str:
        return f"`{_dotted(key)}`"


_NOWHERE = _Nowhere()


class Place(msgspec.Struct, frozen=True):
    """The name of a place, which is found only when it is shown: most never are."""

    source: Source
    key: Key

    def __str__(self) -> str:
        return self.source.where(self.key)


class Settings:
    """The values of several sources, the later of which win."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources
        self.values = {key: value for source in sources for key, value in source.values.items()}

    def where(self, key: Key) -> Place:
        """Name the place of a value, for the beginning of a message."""
        having = [source for source in self._sources if key[0] in source.values]
        return Place(having[-1] if having else _NOWHERE, key)

    def with_defaults(self, values: Mapping[str, Any]) -> Settings:
        """Return these settings, with these values for what no source has."""
        return Settings(Given(dict(values), {key: key for key in values}), *self._sources)

    def secret_variables(self, keys: Collection[str] | None = None) -> set[str]:
        """Name the variables that any `env:NAME` refers to, even if a later source won.

        `keys` are the settings to look at. None: all.
        """
        return self._references("env:", keys)

    def files(self, keys: Collection[str]) -> set[str]:
        """Name the files that any `file:/path` refers to, in these settings."""
        return self._references("file:", keys)

    def _references(self, kind: str, keys: Collection[str] | None) -> set[str]:
        return {
            name
            for source in self._sources
            for key, value in source.values.items()
            if keys is None or key in keys
            for name in _references(value, kind)
        }

    def struct(self, type_: type[T], but: Collection[str] = ()) -> T:
        """Decode the values that `type_` has fields for, except those named in `but`."""
        own = {k: v for k, v in self.values.items() if k in keys_of(type_) and k not in but}
        try:
            return msgspec.convert(own, type_)
        except msgspec.ValidationError as error:
            raise self._explained(error, (), type_) from None

    def tables_of(self, type_: type[T], key: str) -> dict[str, T]:
        """Decode a table of tables, whose names are folded to one case; absent is empty."""
        tables: dict[str, T] = {}
        for name, value in self._table(key).items():
            if name.casefold() in tables:
                raise ConfigError(f"{self.where((key, name))}: is there twice, in another case")
            try:
                tables[name.casefold()] = msgspec.convert(value, type_)
            except msgspec.ValidationError as error:
                raise self._explained(error, (key, name), type_) from None
        return tables

    def _table(self, key: str) -> dict[str, Any]:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise ConfigError(f"{self.where((key,))}: expected a table")
        return value

    def list_of(self, type_: type[T], key: str) -> list[str | T]:
        """Decode a list whose entries are strings or tables like `type_`; absent is empty."""
        try:
            return msgspec.convert(self.values.get(key, []), list[str | type_])  # type: ignore[valid-type]
        except msgspec.ValidationError as error:
            raise self._explained(error, (key,), type_) from None

    def _explained(self, error: msgspec.ValidationError, base: Key, type_: type) -> ConfigError:
        match = _MESSAGE.fullmatch(str(error))
        assert match is not None  # noqa: S101  # every part of the pattern is optional
        key = base + tuple(name or int(at) for name, at in _STEP.findall(match["key"] or ""))
        value = _at(self.values, key)
        if isinstance(value, dict) and (unknown := _UNKNOWN.fullmatch(match["text"])):
            name = unknown[1]
            return unknown_key(str(self.where((*key, name))), name, keys_of(type_))
        if isinstance(value, dict) and (match["key"] or "").endswith("[...]"):
            # msgspec does not tell which value it was, and one that is too long stays unnamed.
            key += tuple(k for k, v in value.items() if not v or not isinstance(v, str))[:1]
            value = _at(self.values, key)
        text = _in_words(match["text"], key, type_)
        return ConfigError(f"{self.where(key)}{_shown(key, value)}: {text}")


def read_toml(path: Path) -> File:
    """Read a file. Raises ConfigError if that cannot be done, with the line if it is not TOML."""
    try:
        text = texts.read_text(path)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        return File(path.name, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_not_toml(path.name, text, str(error))) from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError(f"{path.name}: {reason}") from None


def keys_of(type_: type) -> list[str]:
    """Return the names that the fields of a struct have in `config.toml`."""
    return [field.encode_name for field in msgspec.structs.fields(type_)]


def unknown_key(where: str, key: str, known: Collection[str]) -> ConfigError:
    """Describe a key that nobody knows, with the nearest that somebody does."""
    hint = f"; did you mean `{near}`?" if (near := nearest(key, known)) else ""
    return ConfigError(re.sub(r"(`[^`]*`)$", r"unknown key \1", where) + hint)


def warnings_of(remarks: Sequence[tuple[object, str]]) -> list[str]:
    """Word what is remarked of places: a few in full, and how many more there are."""
    told = [f"{where}: {text}" for where, text in remarks[:MOST_REMARKS]]
    if more := len(remarks) - len(told):
        told.append(f"{more} more warnings like the last one are not shown")
    return told


def nearest(word: str, known: Collection[str]) -> str | None:
    """Find the known word that was probably meant, whatever its case, dashes or underscores."""
    by_letters = {_letters(each): each for each in known}
    found = difflib.get_close_matches(_letters(word), by_letters, n=1)
    return by_letters[found[0]] if found else None


def model_settings(models: Mapping[str, ModelSettings], *names: str) -> ModelSettings:
    """Find a model's settings by the first of its names that has any, in any case."""
    found = (models[name.casefold()] for name in names if name.casefold() in models)
    return next(found, _NO_SETTINGS)


_NO_SETTINGS = ModelSettings()


def secrets(reference: str, where: object) -> list[str]:
    """Resolve one entry: `env:NAME`, `file:/path` (one secret a line), or the secret itself.

    `where` names its place in an error.
    """
    kind, _, name = reference.partition(":")
    try:
        if kind == "env":
            found = texts.lines(os.environ.get(name, ""))
            missing = f"the environment variable {name} is not set"
        elif kind == "file":
            found = texts.lines(texts.read_text(Path(name)))
            missing = f"{name} holds no secret"
        else:
            found = [reference.strip()]
            missing = "is empty"
    except ValueError as error:
        raise ConfigError(f"{where}: {name}: {error}") from None
    if not found or not found[0]:
        raise ConfigError(f"{where}: {missing}")
    for secret in found:
        # A header's value can hold nothing else, and to say so later would be to show the secret.
        if not re.fullmatch(r"[!-~]+", secret):
            raise ConfigError(f"{where}: a secret is ASCII without spaces{_but(secret)}")
    return found


def fingerprint(text: str, person: bytes, key: str = "") -> str:
    """Name a secret without telling it: 16 hexadecimal digits, other ones for another `person`.

    They are an HMAC under `key`. Without one, whoever reads them can tell whether a guess is right.
    """
    return hmac.digest(key.encode(), person + b"\0" + text.encode(), "sha256")[:8].hex()


def fingerprint_key(settings: Settings, reference: str) -> str:
    """Resolve the setting `fingerprintKey`; empty if there is none. Raises ConfigError."""
    return secrets(reference, settings.where(("fingerprintKey",)))[0] if reference else ""


def _but(secret: str) -> str:
    """Name the character that no secret holds, and nothing else of it."""
    at, odd = next((i, c) for i, c in enumerate(secret, 1) if not "!" <= c <= "~")
    hint = lookalike(secret, at - 1)
    return f"; {hint}" if hint and odd != " " else f", but character {at} is U+{ord(odd):04X}"


def checked_url(url: str, schemes: Sequence[str], where: object) -> str:
    """Return `url` without its last slash, if it has one of these schemes and a place."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in schemes or not rest:
        expected = " or ".join(f"{each}://…" for each in schemes)
        raise ConfigError(f"{where}: expected {expected}{_SOCKS if 'socks' in scheme else ''}")
    if not _PLACE.fullmatch(rest) or "?" in rest or "#" in rest:
        raise ConfigError(f"{where}: expected {scheme}://host or {scheme}://host:port/path")
    return url.rstrip("/")


def merged(old: S, new: S, fixed: Collection[str]) -> tuple[S, list[str]]:
    """Return new settings with the `fixed` fields of the old ones, and which of those have changed.

    They are named as in `config.toml`.
    """
    names = {field.name: field.encode_name for field in msgspec.structs.fields(old)}
    kept = {name: getattr(old, name) for name in fixed}
    changed = [names[name] for name, value in kept.items() if getattr(new, name) != value]
    return msgspec.structs.replace(new, **kept), changed


def write_settings(settings: msgspec.Struct | tuple[str, ...]) -> int:
    """Put settings into a file that has no name, and return its descriptor, for one child.

    An argument or a variable would be shown to every user of the machine, or handed on to every
    grandchild. The descriptor is not inherited unless the caller says so.
    """
    return write_data(msgspec.msgpack.encode(settings))


def write_data(data: bytes) -> int:
    """Put bytes into a file that has no name, and return its descriptor."""
    if sys.platform == "linux":
        fd = os.memfd_create("settings", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    return fd


def read_settings(fd: int, type_: type[T]) -> T:
    """Read what `write_settings` wrote, and close the descriptor."""
    return msgspec.msgpack.decode(read_data(fd), type=type_)


def read_data(fd: int) -> bytes:
    """Read what is behind a descriptor, from its beginning, and close it."""
    with open(fd, "rb") as file:
        file.seek(0)
        return file.read()


def _references(values: object, kind: str) -> set[str]:
    if isinstance(values, str):
        return {values.removeprefix(kind)} if values.startswith(kind) else set()
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        return {name for value in values for name in _references(value, kind)}
    return set()


def _not_toml(name: str, text: str, message: str) -> str:
    if match := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL):
        line = text.split("\n")[int(match[2]) - 1]
        hint = lookalike(line, int(match[3]) - 1) or first_lookalike(line)
        told = f"{name}:{match[2]}: not TOML at column {match[3]}: {match[1]}"
        return f"{told}; {hint}" if hint else told
    return f"{name}: not TOML: {message}"


def _line(text: str, key: Key) -> int | None:
    # tomllib reports no positions. But the first lines that parse and hold the key end with the
    # line that it stands in, and more lines never lose it: so that line is found by halving.
    lines = text.splitlines(keepends=True)
    without, having = 0, len(lines)
    if _at(_parsed(lines, having), key) is None:
        return None
    while having - without > 1:
        count = middle = (without + having) // 2
        while count > without and (values := _parsed(lines, count)) is None:
            count -= 1
        if count > without and _at(values, key) is not None:
            having = count
        else:
            without = middle
    return having


def _parsed(lines: Sequence[str], count: int) -> dict[str, Any] | None:
    """Parse the first lines, where they end between two values; else return None."""
    # A list over several lines is closed, to see as far as it goes.
    for end in ("", "\n]"):
        try:
            return tomllib.loads("".join(lines[:count]) + end)
        except tomllib.TOMLDecodeError:
            continue
    return None


def _at(values: Any, key: Key) -> Any:
    for step in key:
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _dotted(key: Key) -> str:
    return "".join(map(_step, key)).lstrip(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _BARE.fullmatch(step) else f'."{step}"'


def _in_words(text: str, key: Key, type_: type) -> str:
    """Say in a TOML file's words what msgspec found wrong."""
    if text.startswith("Invalid enum value"):
        types = {field.encode_name: field.type for field in msgspec.structs.fields(type_)}
        *most, last = map(str, get_args(types[str(key[-1])]))
        return f"expected {', '.join(most)} or {last}"
    if match := _MISMATCH.fullmatch(text):
        kinds = [kind for kind in match["expected"].split(" | ") if kind != "null"]
        if kinds == ["int", "float"]:
            kinds = ["float"]
        bound = f" {match['bound']}" if match["bound"] else ""
        return "expected " + ", or ".join(_WORDS.get(kind, kind) for kind in kinds) + bound
    if text.startswith("Expected `str` matching regex"):
        return "expected only A-Z a-z 0-9 _ . : and -"
    if text.startswith("Expected `str` of length <= "):
        return f"expected at most {text.rpartition(' ')[2]} characters"
    if text.startswith("Expected `str` of length >= 1"):
        return "must not be empty"
    text = text.replace("Object", "table").replace("object", "table")
    return f"{text[0].lower()}{text[1:]}"


def _shown(key: Key, value: object) -> str:
    name = next(step for step in reversed(key) if isinstance(step, str))
    secret = name in _SECRETS or isinstance(value, dict | list)
    return "" if secret else f" = {value!r}"


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
