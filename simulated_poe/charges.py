"""What a call costs, and how its row of the points history says so.

A model with prices in the catalogue costs its tokens, or so much for each request; any other costs
`Settings.price`. Nothing of this is shared with what it tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import msgspec

from simulated_poe.catalogue import Model
from simulated_poe.settings import Settings
from simulated_poe.steps import Call, Step, Text, Thought

_POINTS_PER_USD = 33_000


class Charge(msgspec.Struct, frozen=True):
    """What a call has cost."""

    points: int
    breakdown: dict[str, str]
    """As in `cost_breakdown_in_points`."""


class Meter:
    """Counts what a call has used so far; words are counted as tokens."""

    def __init__(self, prompt: int, read: int = 0, written: int = 0) -> None:
        """Of the prompt's tokens, `read` came from a cache and `written` went to one."""
        self.prompt, self.read, self.written = prompt, read, written
        self._thoughts: list[str] = []
        self._text: list[str] = []

    def count(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps of the answer, and count them."""
        for step in steps:
            match step:
                case Text(text, replaces):
                    if replaces:
                        self._text.clear()
                    self._text.append(text)
                case Thought(text):
                    self._thoughts.append(text)
                case Call():
                    self._thoughts.append(f" {step.arguments} ")
            yield step

    @property
    def completion(self) -> int:
        """The tokens of the answer so far: its text as it now reads, thoughts and tool calls."""
        return len("".join(self._text).split()) + len("".join(self._thoughts).split())


def charge(model: Model, meter: Meter, settings: Settings) -> Charge:
    """Return what a call of this model costs that has used what the meter says."""
    if model.request_price is not None:
        points = _rounded(_points(model.request_price, 1), settings)
        return Charge(points, {"Total": _cost(points)})
    if model.price is None:
        return Charge(settings.price, {"Total": _cost(settings.price)})
    parts = dict(_parts(model, model.price, meter))
    total = _rounded(sum((points for points, _ in parts.values()), Fraction(0)), settings)
    shown = {name: _cost(round(points), tokens) for name, (points, tokens) in parts.items()}
    return Charge(total, shown | {"Total": _cost(total)})


def _parts(model: Model, price: str, meter: Meter) -> Iterator[tuple[str, tuple[Fraction, int]]]:
    yield "Input", (_points(price, meter.prompt), meter.prompt)
    completion = model.completion_price or price
    yield "Output", (_points(completion, meter.completion), meter.completion)
    if meter.written and model.cache_write_price is not None:
        more = _points(model.cache_write_price, meter.written) - _points(price, meter.written)
        yield "Cache write", (more, meter.written)
    if meter.read and model.cache_read_price is not None:
        less = _points(model.cache_read_price, meter.read) - _points(price, meter.read)
        yield "Cache discount", (less, meter.read)


def _points(price: str, count: int) -> Fraction:
    return Fraction(price) * count * _POINTS_PER_USD


def _rounded(points: Fraction, settings: Settings) -> int:
    match settings.rounding:
        case "up":
            return math.ceil(points)
        case "down":
            return math.floor(points)
        case "nearest":
            return round(points)


def _cost(points: int, tokens: int | None = None) -> str:
    return f"{points} points" + ("" if tokens is None else f" ({tokens} tokens)")
