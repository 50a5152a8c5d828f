"""The server-sent events of a chat completions stream, byte for byte.

What makes clients break is fixed here. JSON is escaped to ASCII, since some clients decode each
network read by itself and would halve a character. No line reaches 64 KiB, where aiohttp's
reader gives up. `content` is a string or absent, since some append a null as the word. This
runs for every streamed chunk, so all that is constant in a stream is rendered once.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quote

from contract.messages import Usage

DONE = "data: [DONE]\n\n"

_PIECE = 4_096
"""Characters. A character takes at most 12 bytes (an escaped surrogate pair), so a piece and
the chunk around it, which holds a model name of 256 characters, stay below 64 KiB."""


class Chunks:
    """Renders the chunks of one stream, as ASCII text."""

    def __init__(self, answer_id: str, created: int, model: str) -> None:
        head = (
            f'data: {{"id":{quote(answer_id)},"object":"chat.completion.chunk"'
            f',"created":{created},"model":{quote(model)},"choices":'
        )
        self._delta = f'{head}[{{"index":0,"delta":'
        self._content = f'{self._delta}{{"content":'
        self._reasoning = f'{self._delta}{{"reasoning_content":'
        self._no_choices = f'{head}[],"usage":'

    def role(self) -> str:
        return f'{self._delta}{{"role":"assistant","content":""}},"finish_reason":null}}]}}\n\n'

    def content(self, text: str) -> str:
        return _in_pieces(self._content, text, '},"finish_reason":null}]}\n\n')

    def reasoning(self, text: str) -> str:
        return _in_pieces(self._reasoning, text, '},"finish_reason":null}]}\n\n')

    def call(self, index: int, call_id: str, name: str) -> str:
        """Begin a tool call. Its id, type and name come here and never again."""
        return (
            f'{self._delta}{{"tool_calls":[{{"index":{index},"id":{quote(call_id)}'
            f',"type":"function","function":{{"name":{quote(name)},"arguments":""}}}}]}}'
            f',"finish_reason":null}}]}}\n\n'
        )

    def arguments(self, index: int, fragment: str) -> str:
        opening = f'{self._delta}{{"tool_calls":[{{"index":{index},"function":{{"arguments":'
        return _in_pieces(opening, fragment, '}}]},"finish_reason":null}]}\n\n')

    def finish(self, reason: str) -> str:
        return f'{self._delta}{{}},"finish_reason":"{reason}"}}]}}\n\n'

    def usage(self, usage: Usage) -> str:
        return f"{self._no_choices}{json.dumps(usage_fields(usage), separators=(',', ':'))}}}\n\n"


def usage_fields(usage: Usage) -> dict[str, int]:
    """Return OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _in_pieces(opening: str, text: str, closing: str) -> str:
    if len(text) <= _PIECE:
        return opening + quote(text) + closing
    # Cut before escaping: a cut between characters cannot part the halves of a surrogate pair.
    pieces = (text[i : i + _PIECE] for i in range(0, len(text), _PIECE))
    return "".join(opening + quote(piece) + closing for piece in pieces)
