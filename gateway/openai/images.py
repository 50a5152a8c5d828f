"""Image generations: a prompt for a bot that draws, and the URLs of what it drew.

Poe's image bots answer like all others: by files beside the text, or by links within it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from contract.messages import Event, Failed, FailureKind, File, Message, Options
from gateway.openai import fields as schema
from gateway.openai.errors import from_failed, invalid_request, missing
from gateway.openai.request import ChatRequest, model_of
from gateway.openai.response import CollectedChoice, Head
from gateway.render.body import decode, whole

_MAX_SAID = 1_000
"""Characters of a bot's words that an error repeats."""
_PASSED_ON = ("size", "quality", "style", "background")
"""Fields that bots know under one name or another."""

_SHOWN = re.compile(r"!\[[^\]]*\]\((https?://[^\s)]+)[^)]*\)")
_LINKS = re.compile(r"\s*https?://\S+(?:\s+https?://\S+)*\s*")


def parse_images(body: bytes) -> ChatRequest:
    """Parse a request's body. Raises ApiError (400) that names the offending field."""
    asked, extra = decode(body, schema.Images)
    if not asked.prompt:
        raise missing("prompt")
    if asked.response_format not in (None, "url"):
        raise invalid_request(
            "Invalid 'response_format': only url. This server passes on where Poe keeps an image,"
            " and fetches none.",
            "response_format",
            "unsupported_value",
        )
    if asked.stream:
        message = "Invalid 'stream': images are not streamed here."
        raise invalid_request(message, "stream", "unsupported_value")
    wanted = {name: getattr(asked, name) for name in _PASSED_ON}
    # "auto" is what a bot does when it is told nothing.
    told = {name: value for name, value in wanted.items() if value not in (None, "auto")}
    return ChatRequest(
        model=model_of(asked.model),
        messages=(Message("user", asked.prompt),),
        options=Options(extra=told | extra),
        n=whole(asked.n, "n") or 1,
    )


class ImagesCollector:
    """Collects one answer, a choice for each image that was asked for."""

    def __init__(self, head: Head) -> None:
        self._created = head.created
        self._choices = [CollectedChoice(head.job) for _ in range(head.choices)]

    def feed(self, choice: int, events: Iterable[Event]) -> None:
        for event in events:
            self._choices[choice].collect(event)

    def body(self) -> bytes:
        """Render the URLs. Raises ApiError (502), with the bot's words, where there is none."""
        urls = dict.fromkeys(url for choice in self._choices for url in _urls(choice))
        if not urls:
            raise from_failed(self._no_image())
        answer = {"created": self._created, "data": [{"url": url} for url in urls]}
        return json.dumps(answer, separators=(",", ":")).encode("ascii")

    def _no_image(self) -> Failed:
        said = "\n".join(filter(None, map(_words, self._choices))).strip()[:_MAX_SAID]
        message = f"The bot made no image. It said: {said}" if said else "The bot made no image."
        # It has answered, which costs points.
        return Failed(FailureKind.UPSTREAM_FAILED, message, charged=True)


def _urls(choice: CollectedChoice) -> list[str]:
    files = [file.url for file in choice.files if _may_be_an_image(file)]
    text = choice.content()
    if files or not _LINKS.fullmatch(text):
        return files or _SHOWN.findall(text)
    return text.split()


def _may_be_an_image(file: File) -> bool:
    return file.media_type.startswith("image/") or not file.media_type


def _words(choice: CollectedChoice) -> str:
    message = choice.message()
    return message["refusal"] or message["content"] or ""
