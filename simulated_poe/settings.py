"""The settings of a simulated Poe.

Where Poe's behaviour is not documented, a setting selects one of the plausible ones, so that a
test can try them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key. None means the value for all keys."""

    account: str
    points: int | None = None
    """The account's initial balance, taken from the first of its keys that is used."""
    rate_limit: int | None = None
    cool_down: float | None = None
    max_in_flight: int | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; each is a key in the JSON file given by `--config`."""

    keys: dict[str, str | KeySettings] = {}
    """Keys and their accounts. Keys that begin with `sim-` need no entry."""

    enforce: bool = False
    """Refuse a call over a limit with 429. It is recorded in any case."""
    rate_limit: int | None = 500
    """Calls that one account may start within `window`; None for any number."""
    window: float = 60.0
    """Seconds, sliding."""
    cool_down: float = 0.0
    """Seconds between two starts of one account."""
    max_in_flight: int | None = None
    """Calls of one account in flight at once; None for any number."""
    tolerance: float = 0.0
    """Seconds by which a call may start early, since requests travel at different speeds."""

    points: int = 1_000_000
    """An account's initial balance."""
    price: int = 10
    """Points that a call costs once the bot begins to answer, if its model has no price."""
    rounding: Literal["up", "nearest", "down"] = "up"
    """How a call's cost becomes whole points."""
    history_time: Literal["start", "end"] = "start"
    """Which instant of a call its row in the points history has."""

    line_end: Literal["crlf", "lf"] = "crlf"
    cut_bytes: int | None = None
    """Write every stream in pieces of this many bytes; None for whole events."""

    error_shape: Literal["a", "b"] = "a"
    """Error bodies as in Poe's API documentation (a) or in its error reference (b)."""
    bot_errors: Literal["http", "event"] = "http"
    """Whether /bot refuses a call with a status, or with 200 and an `error` event."""
    bot_rate_headers: bool = False
    """Whether responses of /bot have x-ratelimit headers too."""
    late_errors: Literal["event", "cut"] = "event"
    """How a stream of /v1 fails: by an event, or a dropped connection."""
    validation: Literal["legacy", "strict", "strictest"] = "strict"
    """Which fields /v1/chat/completions refuses: none; those that neither OpenAI nor the model
    defines; or also those that Poe documents as ignored."""

    stop: Literal["honoured", "ignored"] = "honoured"
    """Whether /v1/chat/completions ends an answer at a stop sequence."""
    bot_stop: Literal["honoured", "ignored"] = "honoured"
    """The same for /bot, where `stop` is only a hint."""
    thoughts: Literal["content", "reasoning_content"] = "content"
    """Where /v1/chat/completions has the thoughts of Reason: quoted in the text, or apart."""
    choice_index: bool = True
    """Whether the chunks of /v1/chat/completions have `choices[].index`."""
    comments: bool = False
    """Whether /v1/chat/completions sends comments between chunks."""
    system_messages: Literal["taken", "refused"] = "refused"
    """Whether /v1/messages takes messages of the role `system`, as Claude Code sends them."""
    refused_betas: tuple[str, ...] = ()
    """Values of the header anthropic-beta that are a 400."""
    formats: Literal["kept", "ignored"] = "kept"
    """Whether models keep to the `text.format` of /v1/responses."""
    tool_rounds: Literal["checked", "any"] = "checked"
    """Whether /v1/chat/completions refuses calls without results and results without calls."""
    text_after_results: Literal["text", "json"] = "text"
    """Which events carry text once tool results have come; before that, it is in `json` events.
    Poe's own library then reads `text` events only, so presumably Poe sends those."""
    tools_unsupported: Literal["ignored", "refused"] = "ignored"
    """What bots without tools do with a request that has some."""

    attachments: Literal["any", "poe", "own"] = "any"
    """Which attachment URLs /bot accepts: any, those on Poe's hosts, or only those that the same
    account has uploaded."""

    catalogue_status: int = 200
    """The status of GET /v1/models; tests may change it in `SimulatedPoe.catalogue`."""


def load(path: Path) -> Settings:
    """Read settings from a JSON file.

    Raises OSError, and msgspec.ValidationError or msgspec.DecodeError for an invalid file.
    """
    return msgspec.json.decode(path.read_bytes(), type=Settings)
