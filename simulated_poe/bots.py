"""The bots. Each is a function that takes a question and yields the steps of its answer.

The package's docstring describes each bot and its variants (`Name-variant`). The forms of
placeholders and thoughts are those that users' filters look for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec
import orjson

from simulated_poe import callers, failures, structured
from simulated_poe.ask import Ask
from simulated_poe.script import emulate, script
from simulated_poe.steps import (
    DONE,
    META,
    Cut,
    Event,
    Raw,
    Sleep,
    Status,
    Step,
    Text,
    Thought,
    pieces,
)
from simulated_poe.words import words

Play = Callable[[Ask], Iterator[Step]]

IMAGE_URL = "https://pfst.cf2.poecdn.net/base/image/5ca1ab1e?w=1024&h=1024"
_MADE = {"video": ("video/mp4", "video.mp4"), "audio": ("audio/mpeg", "audio.mp3")}
_OVERSIZE = 2 * 1024 * 1024


class Bot(msgspec.Struct, frozen=True):
    name: str
    play: Play
    variants: str = ""
    """A regular expression for what may follow the name and a hyphen."""
    tools: bool = False
    """Whether it supports tools."""
    exact: bool = False
    """Whether its answers are never cut by `stop` or `max_tokens`, because tests parse them."""
    private: bool = False
    """Whether it is missing from the catalogue and only available at /bot."""


def find(name: str) -> tuple[Bot, str] | None:
    """Return a bot and a variant by name, in any case."""
    stem, _, variant = name.lower().partition("-")
    bot = BOTS.get(stem)
    if bot is None or (variant and not re.fullmatch(bot.variants, variant)):
        return None
    return bot, variant


def _paced(steps: Iterator[Text] | Iterator[Thought], seconds: float) -> Iterator[Step]:
    for step in steps:
        yield step
        if seconds:
            yield Sleep(seconds)


def _echo(ask: Ask) -> Iterator[Step]:
    if ask.variant == "notools" and ask.tools:
        yield from failures.no_tools()
        return
    yield META
    yield from _paced(pieces(ask.text), float(ask.parameters.get("every", 0)))
    yield DONE


def _count(ask: Ask) -> Iterator[Step]:
    last = int(ask.number("count", 10))
    numbers = (Text(f" {n}" if n > 1 else "1") for n in range(1, last + 1))
    yield from _paced(numbers, ask.every())
    yield DONE


def _long(ask: Ask) -> Iterator[Step]:
    count, seed = int(ask.number("words", 1000)), int(ask.number("seed", 1, position=1))
    yield from _paced((Text(word) for word in words(seed, count)), ask.every())
    yield DONE


def _think(ask: Ask) -> Iterator[Step]:
    yield Text("Thinking...", replaces=True)
    for elapsed in range(1, 4):
        yield Sleep(ask.every(0.02))
        yield Text(f"Thinking... ({elapsed}s elapsed)", replaces=True)
    yield Text("", replaces=True)
    yield from pieces(f"I have thought about it: {ask.text}")
    yield DONE


def _reason(ask: Ask) -> Iterator[Step]:
    thoughts = ["The question is:", "", ask.text.replace("\n", " ")]
    thinking: Iterator[Text] | Iterator[Thought]
    if ask.thoughts_apart:
        thinking = (Thought(piece.text) for piece in pieces("\n".join(thoughts)))
    elif ask.variant == "tags":
        thinking = pieces("<think>\n" + "\n".join(thoughts) + "\n</think>\n\n")
    else:
        quoted = "\n".join(f"> {line}".rstrip() for line in thoughts)
        thinking = pieces(f"*Thinking...*\n\n{quoted}\n\n")
    yield from _paced(thinking, ask.every())
    if ask.variant != "only":
        yield from _paced(pieces(f"The answer to: {ask.text}"), ask.every())
    yield DONE


def _replace(ask: Ask) -> Iterator[Step]:
    if ask.variant == "rewrite":
        yield from pieces("This was not quite right: ")
        yield from pieces(ask.text[::-1])
    for end in range(0, len(ask.text), 5):
        yield Text(ask.text[: end + 5], replaces=True)
        yield Sleep(ask.every())
    yield DONE


def _draw(ask: Ask) -> Iterator[Step]:
    for elapsed in range(1, 3):
        yield Text(f"Generating image... ({elapsed}s elapsed)", replaces=True)
        yield Sleep(ask.every(0.02))
    reference = None if ask.variant == "bare" else "Ab3dE6gH"
    media_type, name = _MADE.get(ask.variant, ("image/png", "image.png"))
    file = {"url": IMAGE_URL, "content_type": media_type, "name": name}
    if ask.variant == "bare":
        yield Text("", replaces=True)
    yield Event("file", file | {"inline_ref": reference})
    if reference:
        yield Text(f"![{ask.text[:40] or 'image'}][{reference}]", replaces=True)
    yield DONE


def _suggest(ask: Ask) -> Iterator[Step]:
    yield META
    yield Text("You said: ")
    yield Event("suggested_reply", {"text": "Tell me more"})
    yield Text(ask.text)
    yield Event("suggested_reply", {"text": "Why?"})
    yield Event("suggested_reply", {"text": "Thank you"})
    yield DONE


def _roles(ask: Ask) -> Iterator[Step]:
    yield Text(orjson.dumps({**ask.received, "parameters": ask.parameters}).decode())
    yield DONE


def _see(ask: Ask) -> Iterator[Step]:
    yield META
    lines = [f"{number}. {seen}" for number, seen in enumerate(ask.attachments, 1)]
    yield from pieces("\n".join(lines) or "There is nothing to see.")
    yield DONE


def _silent(ask: Ask) -> Iterator[Step]:
    wait = ask.number("seconds", 1)
    if ask.variant == "open":
        yield Raw(b"")
    if ask.variant == "stall":
        yield Text("First, ")
    if ask.variant not in ("ping", "pingevent"):
        yield Sleep(wait)
    for _ in range(10 if ask.variant in ("ping", "pingevent") else 0):
        yield Raw(b": ping\r\n\r\n") if ask.variant == "ping" else Event("ping", {})
        yield Sleep(wait / 10)
    yield Text("done waiting")
    yield DONE


def _nodone(ask: Ask) -> Iterator[Step]:
    yield from pieces(ask.text)


def _cut(ask: Ask) -> Iterator[Step]:
    events = int(ask.variant or ask.number("events", 3))
    yield from (Text(f"{n} ") for n in range(1, events + 1))
    yield Cut()


_GARBAGE: dict[str, tuple[Step, ...]] = {
    "json": (Raw(b'event: text\r\ndata: {"text": "unfinis\r\n\r\n'),),
    "line": (Raw(b'event: text\r\ndata: {"text": "' + b"x" * _OVERSIZE + b'"}\r\n\r\n'),),
    "utf8": (Raw(b'event: text\r\ndata: {"text": "caf\xe9 \xff"}\r\n\r\n'),),
    "unknown": (
        Event("fanfare", {"text": "not for the answer"}),
        Event("data", {"metadata": "x"}),
        Raw(b"id: 7\r\nretry: 10\r\n: comment\r\n\r\n"),
    ),
    "type": (Event("text", {"text": 7}), Event("text", ["no object"]), Event("text", {})),
    "empty": (Raw(b"event: text\r\ndata:\r\n\r\n"),),
}


def _garbage(ask: Ask) -> Iterator[Step]:
    if ask.variant == "html":
        yield Status(200, "<html>Sign in</html>", {"Content-Type": "text/html"})
        return
    yield Text("before ")
    yield from _GARBAGE[ask.variant or "json"]
    yield Text("after")
    yield DONE


def _empty(_: Ask) -> Iterator[Step]:
    yield DONE


def _fail(ask: Ask) -> Iterator[Step]:
    asked = ask.variant or ask.text.strip().lower()
    known = re.fullmatch(failures.PATTERN, asked)
    yield from failures.fail(asked if known else "500", ask.shape)


def _flaky(ask: Ask) -> Iterator[Step]:
    first = ask.attempt == 1
    yield from failures.fail(ask.variant or "500", ask.shape) if first else _echo(ask)


BOTS = {
    bot.name.lower(): bot
    for bot in (
        Bot("Echo", _echo, "notools"),
        Bot("Count", _count),
        Bot("Long", _long),
        Bot("Think", _think),
        Bot("Reason", _reason, "tags|only"),
        Bot("Replace", _replace, "rewrite"),
        Bot("Draw", _draw, "|".join(["bare", *_MADE])),
        Bot("Suggest", _suggest),
        Bot("Roles", _roles, exact=True),
        Bot("See", _see),
        Bot("Json", structured.json_object, structured.VARIANTS),
        Bot("Tool", callers.tool, callers.VARIANTS, tools=True),
        Bot("Agent", callers.agent, tools=True),
        Bot("Private", _echo, private=True),
        Bot("Silent", _silent, "open|stall|ping|pingevent"),
        Bot("Nodone", _nodone),
        Bot("Cut", _cut, r"\d{1,4}"),
        Bot("Garbage", _garbage, "|".join([*_GARBAGE, "html"])),
        Bot("Empty", _empty),
        Bot("Fail", _fail, failures.PATTERN),
        Bot("Flaky", _flaky, failures.PATTERN),
        Bot("Script", script, exact=True),
        Bot("Emulate", emulate),
    )
}
