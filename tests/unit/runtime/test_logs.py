"""How a process logs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from runtime import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_each_record_is_one_object_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway")

    logging.getLogger("gateway.chat").info("request", extra={"model": "a\nb", "token": None})

    (line,) = logged(capsys)
    assert line.pop("time")
    assert line == {
        "level": "info",
        "process": "gateway",
        "logger": "gateway.chat",
        "message": "request",
        "model": "a\nb",
    }


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param('x\n{"level": "info", "message": "forged"}', id="a line of its own"),
        pytest.param("\r\x1b[2K\x00\u2028", id="control characters"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param('","level":"debug', id="quotes"),
    ],
)
def test_nothing_that_is_said_makes_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], hostile: str
) -> None:
    logs.configure("gateway")

    logging.getLogger("x").warning("said %s", hostile, extra={"model": hostile})

    (line,) = logged(capsys)
    assert (line["message"], line["model"], line["level"]) == (
        f"said {hostile}",
        hostile,
        "warning",
    )


def test_an_exception_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway")

    try:
        {}["a bug"]
    except KeyError:
        logging.getLogger("x").exception("failed")

    (line,) = logged(capsys)
    assert str(line["exception"]).endswith("KeyError: 'a bug'")


def test_a_value_that_json_does_not_know_is_shown_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("gateway")

    logging.getLogger("x").info("odd", extra={"value": {1, 2}})

    assert logged(capsys)[0]["value"] == "{1, 2}"


def test_a_terminal_gets_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logs.configure("worker")

    logging.getLogger("x").info("listening", extra={"port": 3700})
    logging.getLogger("x").warning("slow")

    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("worker listening port=3700")
    assert second.endswith("worker warning: slow")


@pytest.mark.parametrize("library", ["httpx", "httpcore", "aiohttp", "_granian"])
def test_libraries_do_not_log_the_requests_they_make(
    capsys: pytest.CaptureFixture[str], library: str
) -> None:
    logs.configure("worker")

    logging.getLogger(library).info("GET https://api.poe.com/?key=secret")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("ni hao", '"ni hao"', id="ASCII"),
        pytest.param("\u4f60\u597d", '"\\u4f60\\u597d"', id="Chinese"),
        pytest.param("\ud83d", '"\\ud83d"', id="half a character"),
        pytest.param(2**70, str(2**70), id="an integer beyond 64 bits"),
    ],
)
def test_a_line_is_ascii_whatever_is_in_it(
    capsys: pytest.CaptureFixture[str], value: object, told: str
) -> None:
    logs.configure("gateway")

    logging.getLogger("x").info("heard", extra={"value": value})

    line = capsys.readouterr().err
    assert line.isascii()
    assert f'"value":{told}' in line.replace(": ", ":")
