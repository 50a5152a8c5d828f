"""The checks of a whole answer that a stage needs before it can end the answer.

How long a check takes is up to the answer and its schema. So stages only ask for checks, and their
caller makes them where they can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from contract.messages import Event, Format, Tool
from worker.shaping.matching import violation
from worker.shaping.objects import Found, the_object


class IsObject(msgspec.Struct, frozen=True, array_like=True, tag="object"):
    """Whether the text holds one JSON object, of the form that is wanted."""

    text: str
    wanted: Format


class Called(msgspec.Struct, frozen=True, array_like=True):
    """A call of a strict tool, its arguments as JSON."""

    tool: Tool
    arguments: str


class AreStrict(msgspec.Struct, frozen=True, array_like=True, tag="calls"):
    """Whether the arguments of all calls match their tools' schemas."""

    calls: tuple[Called, ...]


Check = IsObject | AreStrict


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """The result of a check: what is wrong, if anything."""

    fault: str = ""
    text: str = ""
    """The text of the object, if the answer holds one."""
    is_final: bool = False
    """Whether no other answer could pass."""


@dataclass(frozen=True)
class Ask:
    """What a stage returns in place of events: a check, and what follows from its verdict."""

    check: Check
    then: Callable[[Verdict], list[Event]]
    """May raise Mismatch."""


TOO_COSTLY = Verdict("To check the answer takes too long, or too much memory.", is_final=True)
"""The verdict of a check that was stopped."""


def judge(check: Check) -> Verdict:
    """Make the check, here and now."""
    match check:
        case IsObject(text, wanted):
            return _of_object(text, wanted)
        case AreStrict(calls):
            faults = filter(None, map(_fault, calls))
            return Verdict(next(faults, ""))


def judged(data: bytes) -> bytes:
    """Do the same, of bytes to bytes: `runtime.offload` runs this in a child process."""
    return encode(judge(_decode(data)))


encode = msgspec.msgpack.Encoder().encode
decode_verdict = msgspec.msgpack.Decoder(Verdict).decode
_decode = msgspec.msgpack.Decoder(Check).decode


def _of_object(text: str, wanted: Format) -> Verdict:
    def fault_of(found: Found) -> str:
        reason = None if wanted.schema is None else violation(wanted.schema, found.value)
        return f"The answer does not match the JSON schema: {reason}" if reason else ""

    found, fault = the_object(text, fault_of)
    return Verdict(fault) if found is None else Verdict(text=found.text)


def _fault(call: Called) -> str:
    tool = call.tool
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return f"The arguments of {tool.name!r} are not JSON."
    reason = violation(tool.parameters, value) if tool.parameters is not None else None
    return f"The arguments of {tool.name!r} do not match its schema: {reason}" if reason else ""
