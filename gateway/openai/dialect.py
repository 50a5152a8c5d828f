"""OpenAI's API: chat completions, legacy completions, images, and the list of models."""

from __future__ import annotations

import math
from typing import Any

from gateway.dialect import Ask, Endpoint, Frame, Headers, Inquiry, Page, RateLimit, Reply
from gateway.openai import errors, models
from gateway.openai.chat_answer import ChatCollector
from gateway.openai.chat_request import ChatAsk, parse_chat
from gateway.openai.chat_stream import DONE, chat_encoder
from gateway.openai.completions import (
    CompletionAsk,
    CompletionCollector,
    completion_encoder,
    parse_completion,
)
from gateway.openai.images import ImagesCollector, parse_images
from gateway.problems import Problem
from gateway.render import openai_http


class OpenAI:
    """The dialect of OpenAI's API."""

    name = "openai"
    mark = ""
    longest_silence = math.inf
    endpoints = (
        Endpoint(
            "chat.completions",
            "/chat/completions",
            ChatAsk,
            parse_chat,
            chat_encoder,
            ChatCollector,
        ),
        Endpoint(
            "completions",
            "/completions",
            CompletionAsk,
            parse_completion,
            completion_encoder,
            CompletionCollector,
        ),
        Endpoint(
            "images.generations",
            "/images/generations",
            Ask,
            parse_images,
            None,
            ImagesCollector,
        ),
    )
    pages = (
        Page("/models", models.listing),
        Page("/models/", models.one),
    )
    inquiries: tuple[Inquiry[Any], ...] = ()
    exposed = openai_http.EXPOSED

    def headers(self, request_id: str) -> Headers:  # noqa: ARG002
        """Return no headers: OpenAI's are those of all dialects."""
        return []

    def error(self, problem: Problem, request_id: str) -> Reply:  # noqa: ARG002
        """Give a problem its status, headers and body."""
        return errors.reply(problem)

    def stamp(self, frame: Frame, event_id: str) -> Frame:
        """Put the id into the chunk: openai-python fails on `id:` lines beside comments."""
        if frame.data == DONE:
            return frame
        return Frame(f'{frame.data[:-1]},"event_id":"{event_id}"}}')

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        """Return the headers that OpenAI's API has for this."""
        return openai_http.rate_limit_headers(limit)

    def keep_alive(self, position: int | None = None, eta: float | None = None) -> bytes:
        """Render a comment, which every client skips."""
        return openai_http.keep_alive(position, eta)


OPENAI = OpenAI()
