"""The JSON of a chat completions stream's chunks, byte for byte.

What makes clients break is fixed here. JSON is escaped to ASCII, since some clients decode each
network read by itself and would halve a character. No chunk reaches 64 KiB, where aiohttp's
reader gives up. `content` is a string or absent, since some append a null as the word. This
runs for every streamed chunk, so all that is constant in a stream is rendered once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote

_PIECE = 4_096
"""Characters. A character takes at most 12 bytes (an escaped surrogate pair), so a piece and
the chunk around it, which holds a model name of 256 characters, stay below 64 KiB."""

_END = '},"finish_reason":null}]}'


class Chunks:
    """Renders the chunks of one choice, as ASCII text."""

    def __init__(self, answer_id: str, created: int, model: str, choice: int = 0) -> None:
        head = (
            f'{{"id":{quote(answer_id)},"object":"chat.completion.chunk"'
            f',"created":{created},"model":{quote(model)},"choices":'
        )
        self._delta = f'{head}[{{"index":{choice},"delta":'
        self._no_choices = f'{head}[],"usage":'

    def role(self) -> str:
        return f'{self._delta}{{"role":"assistant","content":""{_END}'

    def content(self, text: str) -> list[str]:
        return in_pieces(f'{self._delta}{{"content":', text, _END)

    def reasoning(self, text: str) -> list[str]:
        return in_pieces(f'{self._delta}{{"reasoning_content":', text, _END)

    def refusal(self, text: str) -> list[str]:
        return in_pieces(f'{self._delta}{{"refusal":', text, _END)

    def call(self, index: int, call_id: str, name: str) -> str:
        """Begin a tool call. Its id, type and name come here and never again."""
        return (
            f'{self._delta}{{"tool_calls":[{{"index":{index},"id":{quote(call_id)}'
            f',"type":"function","function":{{"name":{quote(name)},"arguments":""}}}}]{_END}'
        )

    def arguments(self, index: int, fragment: str) -> list[str]:
        opening = f'{self._delta}{{"tool_calls":[{{"index":{index},"function":{{"arguments":'
        return in_pieces(opening, fragment, f"}}}}]{_END}")

    def function(self, name: str) -> str:
        """Begin a call in the form of 2023, before there were tools."""
        return f'{self._delta}{{"function_call":{{"name":{quote(name)},"arguments":""}}{_END}'

    def function_arguments(self, fragment: str) -> list[str]:
        return in_pieces(f'{self._delta}{{"function_call":{{"arguments":', fragment, f"}}{_END}")

    def finish(self, reason: str) -> str:
        return f'{self._delta}{{}},"finish_reason":"{reason}"}}]}}'

    def usage(self, fields: Mapping[str, object]) -> str:
        return f"{self._no_choices}{json.dumps(fields, separators=(',', ':'))}}}"


def with_usage(chunk: str, fields: Mapping[str, object]) -> str:
    """Add token counts to a chunk that has none."""
    return f'{chunk[:-1]},"usage":{json.dumps(fields, separators=(",", ":"))}}}'


def in_pieces(opening: str, text: str, closing: str) -> list[str]:
    """One chunk with this text, or several where one would be too long."""
    if len(text) <= _PIECE:
        return [opening + quote(text) + closing]
    # Cut before escaping: a cut between characters cannot part the halves of a surrogate pair.
    pieces = (text[i : i + _PIECE] for i in range(0, len(text), _PIECE))
    return [opening + quote(piece) + closing for piece in pieces]
