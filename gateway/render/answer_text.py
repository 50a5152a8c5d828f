"""The text of one choice for a client that can only append: replacements and files included."""

from __future__ import annotations

from contract.messages import File
from gateway.render.append_only import AppendOnly
from gateway.render.file_links import FileLinks


class AnswerText:
    """Says what to send next, so that the client ends with the whole text and every file."""

    def __init__(self) -> None:
        self._text = AppendOnly()
        self._files = FileLinks()

    def append(self, text: str) -> str:
        """Return what to send, now that the text goes on with `text`."""
        return self._files.resolve(self._text.append(text))

    def replace(self, text: str) -> str:
        """Return what to send, now that the text is `text` and nothing else."""
        return self._files.resolve(self._text.replace(text))

    def add(self, file: File) -> None:
        """Take a file that the text may show by its reference."""
        self._files.add(file)

    def close(self) -> str:
        """Return what is still due at the end."""
        return self._files.close(self._text.sent)
