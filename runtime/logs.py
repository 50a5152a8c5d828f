"""Logging: readable lines on a terminal, one JSON object per line anywhere else.

Fields of an event are passed in `extra`: by their names, or, for a line that each request writes,
all in one dict by the name of `fields`, which takes half as long. Prompts and secrets are never
logged.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(name: str, level: int = logging.INFO) -> None:
    """Log to standard error; `name` identifies this process in every line."""
    _leave_out_what_no_line_shows()
    on_terminal = sys.stderr.isatty()
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Readable(name) if on_terminal else _Json(name))
    logging.basicConfig(level=level, handlers=[stream], force=True)
    for noisy in ("httpx", "httpcore", "aiohttp", "_granian", "granian"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def _leave_out_what_no_line_shows() -> None:
    # As Python's documentation of `logging` advises: where a call is in the source, and in which
    # thread, takes longer to find than the line to write.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    fields = vars(record).get("fields")
    if fields is not None:
        return {k: v for k, v in fields.items() if v is not None}
    return {k: v for k, v in vars(record).items() if k not in _STANDARD and v is not None}


def _ascii(fields: dict[str, Any]) -> str:
    """Render JSON that any terminal and any locale can hold: in ASCII."""
    try:
        line = orjson.dumps(fields, default=str).decode()
    except TypeError:
        # An integer beyond 64 bits, or half a character in what somebody else has said.
        line = ""
    if line and line.isascii():
        return line
    return json.dumps(fields, default=str, separators=(",", ":"))


class _Readable(logging.Formatter):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")  # noqa: DTZ006
        level = "" if record.levelno <= logging.INFO else f" {record.levelname.lower()}:"
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        line = f"{clock} {self._name}{level} {record.getMessage()}{extras}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._name,
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return _ascii(fields)
