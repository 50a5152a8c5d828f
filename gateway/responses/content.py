"""The contents of input items: text, and images, recordings and files by their URL."""

from __future__ import annotations

from contract.messages import MediaPart, Part, TextPart
from gateway.problems import invalid_request, missing, quoted
from gateway.render.content import MediaCount, audio, file, holds_thoughts, image, no_stored_files
from gateway.responses import fields


class ContentReader:
    """Reads the contents of one request, all of which share a bound."""

    def __init__(self) -> None:
        self._media = MediaCount()

    def read(self, content: fields.Content, path: str) -> str | tuple[Part, ...]:
        """Return text as a string, and anything else as parts. Raises Problem."""
        if content is None or isinstance(content, str):
            return content or ""
        parts = tuple(
            self._part(part, f"{path}[{i}]")
            for i, part in enumerate(content)
            if part is not None and not holds_thoughts(part.type)
        )
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        return "\n".join(texts) if len(texts) == len(parts) else parts

    def _part(self, part: fields.Part, path: str) -> Part:
        match part.type:
            case "input_text" | "output_text" | "text":
                return TextPart(_required(part.text, f"{path}.text"))
            case "refusal":
                return TextPart(_required(part.refusal, f"{path}.refusal"))
            case "input_image" | "image_url":
                media = _image(part, path)
            case "input_audio":
                media = _audio(part, path)
            case "input_file":
                media = _file(part, path)
            case _:
                raise invalid_request(
                    f"'{path}' is of type {quoted(part.type)}; supported are input_text,"
                    " output_text, refusal, input_image, input_audio and input_file.",
                    path,
                    "unsupported_content",
                )
        self._media.add(path)
        return media


def _image(part: fields.Part, path: str) -> MediaPart:
    match part.image_url:
        case fields.ImageUrl(url=url, detail=detail):
            return image(url, f"{path}.image_url.url", detail)
        case str(url):
            return image(url, f"{path}.image_url", part.detail)
        case _ if part.file_id:
            raise no_stored_files(f"{path}.file_id")
        case _:
            raise missing(f"{path}.image_url")


def _audio(part: fields.Part, path: str) -> MediaPart:
    if part.input_audio is None:
        raise missing(f"{path}.input_audio")
    return audio(part.input_audio.data, part.input_audio.format, f"{path}.input_audio")


def _file(part: fields.Part, path: str) -> MediaPart:
    if part.file_data:
        return file(part.filename or "", f"{path}.file_data", data=part.file_data)
    if part.file_url:
        return file(part.filename or "", f"{path}.file_url", url=part.file_url)
    if part.file_id:
        raise no_stored_files(f"{path}.file_id")
    raise missing(f"{path}.file_data")


def _required(value: str | None, path: str) -> str:
    if value is None:
        raise missing(path)
    return value
