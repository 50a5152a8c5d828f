"""The bot Json: answers with a JSON object that matches the schema in its instructions."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from simulated_poe.ask import Ask
from simulated_poe.schemas import instance, schema_in
from simulated_poe.steps import DONE, META, Sleep, Step, pieces

VARIANTS = "fenced|broken|wrong|never"
_BROKEN = '{"unfinished": '
_WRONG = '{"nobody_asked_for": true}'


def json_object(ask: Ask) -> Iterator[Step]:
    """Answer with the smallest object that matches the schema in the instructions."""
    yield META
    for piece in pieces(_answer(ask)):
        yield piece
        yield Sleep(ask.every())
    yield DONE


def _answer(ask: Ask) -> str:
    corrected = any(role == "bot" and text in (_BROKEN, _WRONG) for role, text in ask.messages)
    if ask.variant == "never" or (ask.variant == "broken" and not corrected):
        return _BROKEN
    if ask.variant == "wrong" and not corrected:
        return _WRONG
    found = orjson.dumps(_object(ask)).decode()
    if ask.variant == "fenced":
        return f"Here you are:\n\n```json\n{found}\n```\n\nI hope it helps."
    return found


def _object(ask: Ask) -> object:
    if ask.schema is not None:
        return instance(ask.schema)
    # The roles may have been flattened into one user message.
    for role in ("system", "user"):
        for each, text in ask.messages:
            if each == role and (schema := schema_in(text)):
                return instance(schema)
    return {"answer": ask.text}
