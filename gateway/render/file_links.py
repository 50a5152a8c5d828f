"""Files in an answer, as Markdown: the one form that every client shows.

A Poe bot sends a file beside the text, and the text may speak of it as `![title][ref]`. Where
the file is known by then, the reference becomes its URL; a file that the text does not show is
added at the end.
"""

from __future__ import annotations

import re

from contract.messages import File

# What would end a Markdown URL or label early.
_URL_ESCAPES = {ord(c): f"%{ord(c):02X}" for c in " ()<>\\\t\r\n"}
_LABEL_ESCAPES = {**{ord(c): f"\\{c}" for c in "[]\\"}, **{ord(c): " " for c in "\r\n"}}


def markdown(file: File) -> str:
    """Return the link that shows an image, or leads to any other file."""
    bang = "!" if file.media_type.startswith("image/") else ""
    return bang + _link(file)


def _link(file: File) -> str:
    return f"[{(file.name or 'file').translate(_LABEL_ESCAPES)}]{_target(file)}"


def _target(file: File) -> str:
    return f"({file.url.translate(_URL_ESCAPES)})"


class FileLinks:
    """The files of one answer, and which of them its text has shown."""

    def __init__(self) -> None:
        self._files: list[File] = []
        self._by_token: dict[str, File] = {}  # "[ref]" -> file
        self._references = re.compile("(?!)")  # matches nothing
        self._shown: set[str] = set()
        self._pending = ""  # may be the beginning of a reference
        self._last = ""

    def add(self, file: File) -> None:
        self._files.append(file)
        if file.inline_ref:
            self._by_token[f"[{file.inline_ref}]"] = file
            self._references = re.compile("|".join(map(re.escape, self._by_token)))

    def resolve(self, text: str) -> str:
        """Return the text with references resolved, but for an end that may yet become one."""
        if not self._by_token:
            return text
        text = self._pending + text
        cut = self._cut(text)
        text, self._pending = text[:cut], text[cut:]
        return self._resolved(text)

    def close(self, text: str) -> str:
        """Return what is still due at the end of the answer, of which `text` was given before.

        Files that the text shows by their URL are not shown again.
        """
        rest = self._pending
        self._pending = ""
        hidden = {
            file.url: markdown(file)
            for file in self._files
            if file.url not in self._shown and file.url not in text
        }
        if hidden:
            rest += "\n\n" if text or rest else ""
            rest += "\n".join(hidden.values())
        return rest

    def _cut(self, text: str) -> int:
        start = text.rfind("[")
        if start >= 0 and any(
            len(token) > len(text) - start and token.startswith(text[start:])
            for token in self._by_token
        ):
            return start
        return len(text)

    def _resolved(self, text: str) -> str:
        before = self._last
        self._last = text[-1:] or before

        def shown(match: re.Match[str]) -> str:
            file = self._by_token[match[0]]
            self._shown.add(file.url)
            preceding = text[match.start() - 1] if match.start() else before
            # "[title][ref]" has its label already; "[ref]" alone is its own.
            return _target(file) if preceding == "]" else _link(file)

        return self._references.sub(shown, text)
