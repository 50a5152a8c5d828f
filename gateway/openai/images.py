"""Image generations: a prompt for a bot that draws, and the URLs of what it drew.

Poe's image bots answer like all others: by files beside the text, or by links within it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from contract.messages import Event, File, Message, Options
from gateway.dialect import Ask, Head
from gateway.openai import fields
from gateway.problems import Kind, Problem, missing, unsupported_value
from gateway.render.body import decode, whole
from gateway.render.collected import CollectedChoice
from gateway.render.parameters import model_name

_MAX_SAID = 1_000
"""Characters of a bot's words that an error repeats."""
_PASSED_ON = ("size", "quality", "style", "background")
"""Fields that go to the bot, which may know them."""

_SHOWN = re.compile(r"!\[[^\]]*\]\((https?://[^\s)]+)[^)]*\)")
_LINKS = re.compile(r"\s*https?://\S+(?:\s+https?://\S+)*\s*")


def parse_images(body: bytes) -> Ask:
    """Parse a request's body. Raises Problem that names the offending field."""
    asked, extra = decode(body, fields.Images)
    if not asked.prompt:
        raise missing("prompt")
    if asked.response_format not in (None, "url"):
        raise unsupported_value(
            "response_format",
            "only url. This server passes on where Poe keeps an image, and fetches none",
        )
    if asked.stream:
        raise unsupported_value("stream", "images are not streamed here")
    wanted = {name: getattr(asked, name) for name in _PASSED_ON}
    # "auto" is what a bot does by default.
    told = {name: value for name, value in wanted.items() if value not in (None, "auto")}
    return Ask(
        model=model_name(asked.model),
        messages=(Message("user", asked.prompt),),
        options=Options(extra=told | extra),
        choices=whole(asked.n, "n") or 1,
    )


class ImagesCollector:
    """Collects one answer, a choice for each image that was asked for."""

    def __init__(self, head: Head, _: Ask) -> None:
        self._created = head.created
        self._choices = [CollectedChoice(head.job) for _ in range(head.choices)]

    def feed(self, choice: int, events: Sequence[Event]) -> None:
        """Take the events of one record."""
        self._choices[choice].feed(events)

    def body(self) -> bytes:
        """Render the URLs. Raises Problem, in the bot's words, where there is none."""
        urls = dict.fromkeys(url for choice in self._choices for url in _urls(choice))
        if not urls:
            raise self._no_image()
        answer = {"created": self._created, "data": [{"url": url} for url in urls]}
        return orjson.dumps(answer)

    def _no_image(self) -> Problem:
        said = "\n".join(filter(None, map(_words, self._choices))).strip()[:_MAX_SAID]
        message = f"The bot made no image. It said: {said}" if said else "The bot made no image."
        # It has answered, which costs points.
        return Problem(Kind.UPSTREAM_FAILED, message, charged=True)


def _urls(choice: CollectedChoice) -> list[str]:
    files = [file.url for file in choice.files if _may_be_an_image(file)]
    text = choice.content()
    if files or not _LINKS.fullmatch(text):
        return files or _SHOWN.findall(text)
    return text.split()


def _may_be_an_image(file: File) -> bool:
    return file.media_type.startswith("image/") or not file.media_type


def _words(choice: CollectedChoice) -> str:
    return choice.refusal or choice.content()
