"""The contents of messages in OpenAI's two APIs: text, images, recordings and files.

Either API's parts are read wherever the other's are expected, since clients mix them up.
"""

from __future__ import annotations

from contract.messages import MediaPart, Part, TextPart
from gateway.problems import invalid_request, missing, quoted
from gateway.render import openai_fields as fields
from gateway.render.content import MediaCount, audio, file, holds_thoughts, image, no_stored_files


class ContentReader:
    """Reads the contents of one request, all of which share a bound."""

    def __init__(self, supported: str) -> None:
        """`supported` names the API's own types of parts, for the error about another."""
        self._supported = supported
        self._media = MediaCount()

    def read(self, content: fields.Content, path: str) -> str | tuple[Part, ...]:
        """Return text as a string, and anything else as parts. Raises Problem.

        Thoughts are left out, as `reasoning_content` is: no model is told its own.
        """
        if content is None or isinstance(content, str):
            return content or ""
        parts = tuple(
            self._part(part, f"{path}[{i}]")
            for i, part in enumerate(content)
            if part is not None and not holds_thoughts(part.type)
        )
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        # Parts are blocks, not fragments: clients leave it to the server to keep them apart.
        return "\n".join(texts) if len(texts) == len(parts) else parts

    def _part(self, part: fields.Part, path: str) -> Part:
        match part.type:
            case "text" | "input_text" | "output_text":
                return TextPart(_required(part.text, f"{path}.text"))
            case "refusal":
                return TextPart(_required(part.refusal, f"{path}.refusal"))
            case "image_url" | "input_image":
                media = _image(part, path)
            case "input_audio":
                media = _audio(part, path)
            case "file" | "input_file":
                media = _file(part, path)
            case _:
                raise invalid_request(
                    f"'{path}' is of type {quoted(part.type)}; supported are {self._supported}.",
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
    given = part.file
    if given is not None:
        path = f"{path}.file"
    elif part.type == "file":
        raise missing(f"{path}.file")
    else:
        given = fields.File(part.filename, part.file_data, part.file_url, part.file_id)
    name = given.filename or ""
    if given.file_data:
        return file(name, f"{path}.file_data", data=given.file_data)
    if given.file_url:
        return file(name, f"{path}.file_url", url=given.file_url)
    if given.file_id:
        raise no_stored_files(f"{path}.file_id")
    raise missing(f"{path}.file_data")


def _required(value: str | None, path: str) -> str:
    if value is None:
        raise missing(path)
    return value
