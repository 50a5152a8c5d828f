"""What a simulated Poe accepts, limits and leaves open.

Where nobody outside Poe knows how Poe behaves, there is a setting for each of the known
possibilities, so that a test can try them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key. None means: as the settings for all keys say."""

    account: str
    points: int | None = None
    """The account's balance at first; the first of its keys that calls decides."""
    rate_limit: int | None = None
    cool_down: float | None = None
    max_in_flight: int | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings; each is a key of the JSON file that `--config` names."""

    keys: dict[str, str | KeySettings] = {}
    """Known keys and their accounts. Keys that begin with `sim-` are known without it."""

    enforce: bool = False
    """Refuse a call that violates a limit with 429. It is recorded in any case."""
    rate_limit: int | None = 500
    """Calls that one account may start within `window`; None for any number."""
    window: float = 60.0
    """Seconds, sliding."""
    cool_down: float = 0.0
    """Seconds between two starts of one account."""
    max_in_flight: int | None = None
    """Calls of one account under way at once; None for any number."""
    tolerance: float = 0.0
    """Seconds by which a start may seem early, since requests travel at different speeds."""

    points: int = 1_000_000
    """An account's balance at first."""
    price: int = 10
    """Points that a call costs once a bot begins to answer it."""

    line_end: Literal["crlf", "lf"] = "crlf"
    cut_bytes: int | None = None
    """Write every stream in pieces of this many bytes; None for whole events."""

    error_shape: Literal["a", "b"] = "a"
    """Error bodies as the documentation of the API (a) or of its errors (b) shows them."""
    bot_errors: Literal["http", "event"] = "http"
    """Whether /bot refuses with a status, or with 200 and an `error` event."""
    bot_rate_headers: bool = False
    """Whether answers of /bot bear x-ratelimit headers too."""
    late_errors: Literal["event", "cut"] = "event"
    """How a stream of /v1/chat/completions fails: `data: {"error": …}`, or cut off."""
    validation: Literal["legacy", "strict", "strictest"] = "strict"
    """Fields that /v1/chat/completions refuses: none; those that neither OpenAI knows nor the
    model declares; or those too that Poe's documentation calls ignored."""

    stop: Literal["honoured", "ignored"] = "honoured"
    """Whether /v1/chat/completions ends an answer at a stop sequence."""
    bot_stop: Literal["honoured", "ignored"] = "honoured"
    """The same for /bot, where it is no more than a hint."""
    thoughts: Literal["content", "reasoning_content"] = "content"
    """Where /v1/chat/completions has the thoughts of Reason: quoted in the text, or apart."""
    choice_index: bool = True
    """Whether the chunks of /v1/chat/completions have `choices[].index`."""
    comments: bool = False
    """Whether comments come between the chunks of /v1/chat/completions."""
    tool_rounds: Literal["checked", "any"] = "checked"
    """Whether /v1/chat/completions refuses calls without results and results without calls."""
    text_after_results: Literal["text", "json"] = "text"
    """How bots with tools tell text once results have come. Before that it is in `json` events;
    Poe's own library reads only `text` events then, so these it must be, unless it is wrong."""
    tools_unsupported: Literal["ignored", "refused"] = "ignored"
    """What bots without tools do when given some."""

    attachments: Literal["any", "poe", "own"] = "any"
    """Which URLs /bot takes in attachments: any, those of Poe's, or of those only what the same
    account has uploaded."""

    catalogue_status: int = 200
    """The status of GET /v1/models; tests may change it in `SimulatedPoe.catalogue`."""


def load(path: Path) -> Settings:
    """Read settings from a JSON file.

    Raises OSError, and msgspec.ValidationError or msgspec.DecodeError for a file that is wrong.
    """
    return msgspec.json.decode(path.read_bytes(), type=Settings)
