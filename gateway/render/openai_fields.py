"""The fields that requests to OpenAI's two APIs share, as far as their types go."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Whole = int | float
"""A whole number: many languages have no other numbers than floats, and write 1.0."""


class AnyObject(msgspec.Struct, frozen=True):
    """An object whose fields are ignored."""


class ImageUrl(msgspec.Struct, frozen=True):
    url: str
    detail: str | None = None


class Audio(msgspec.Struct, frozen=True):
    data: str
    format: str


class File(msgspec.Struct, frozen=True):
    """Beside the three fields of chat completions, `file_url` of the Responses API."""

    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of any type. The Responses API's have flat what chat completions put in objects."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    input_audio: Audio | None = None
    file: File | None = None
    detail: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None


Content = str | list[Part | None] | None
"""What a message holds: text, or parts, of which those that are null are ignored."""
