"""Decodes server-sent events, wherever the network cuts them.

The format is WHATWG's (html.spec.whatwg.org, 9.2.6), with two liberties that Poe's streams
need: an event with a name but without data counts (`event: done`), and `close()` returns an event
that lacks only the last blank line.
"""

from __future__ import annotations

import msgspec

from worker.poe.faults import Fault, FaultKind

MAX_EVENT = 8 * 1024 * 1024
"""Bytes of an event that is not complete yet. The largest real one is a `replace_response`:
Poe bounds a bot's text to 100,000 characters; ten times that, for models with longer answers,
with every character escaped to six bytes, still fits."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. Its data is not decoded, since JSON decoders want bytes."""

    name: str
    data: bytes


class EventDecoder:
    """Decodes one response body, given in pieces of any size.

    No byte is looked at twice: a piece is split into lines once, and the start of a line waits
    in a list until a later piece ends it. A CR ends a line at once; if the next piece then
    begins with LF, that is the other half of it.
    """

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._line: list[bytes] = []
        self._after_cr = False
        self._at_start = True
        self._name = ""
        self._data: list[bytes] = []
        self._line_size = 0
        self._data_size = 0
        """With the lines' ends: a line without data takes up memory too."""

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that this piece completes.

        Raises Fault(PROTOCOL) when an event grows beyond the bound.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        if self._is_between_events and _is_one_event(chunk):
            # As nearly all come in: there is nothing to split.
            return [ServerSentEvent("message", chunk[6:-2])]
        lines = chunk.splitlines()
        begun = b"" if chunk.endswith((b"\n", b"\r")) else lines.pop()
        self._after_cr = chunk.endswith(b"\r")
        if lines and self._line:
            lines[0] = b"".join([*self._line, lines[0]])
            self._line.clear()
            self._line_size = 0
        events = self._take_lines(lines)
        if begun:
            self._line.append(begun)
            self._line_size += len(begun)
        if self._line_size + self._data_size > self._max_event and not events:
            raise Fault(FaultKind.PROTOCOL)
        return events

    def close(self) -> list[ServerSentEvent]:
        """Return the event that only lacks its end, because the body is over."""
        return self.feed(b"\n\n")

    @property
    def _is_between_events(self) -> bool:
        return not (self._line or self._data or self._name or self._at_start)

    def _take_lines(self, lines: list[bytes]) -> list[ServerSentEvent]:
        events = []
        for line in lines:
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)  # noqa: PLW2901
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
                self._data_size += len(self._data[-1]) + 1
            elif line.startswith(b"event:"):
                self._name = line[6:].removeprefix(b" ").decode("utf-8", "replace")
            elif not line and (self._name or self._data):
                events.append(ServerSentEvent(self._name or "message", b"\n".join(self._data)))
                self._name, self._data, self._data_size = "", [], 0
        return events


def _is_one_event(chunk: bytes) -> bool:
    """Return whether a piece is one whole event, a line of data and nothing else."""
    ends = chunk.find(b"\n") == len(chunk) - 2 and chunk.endswith(b"\n\n")
    return ends and chunk.startswith(b"data: ") and b"\r" not in chunk
