"""The calls about alerts. Whoever takes one delivers it, and either removes it or puts it back."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from contract.alerts import Alert, decode_alert
from contract.calls.call import Call, Word, milliseconds


class Taken(msgspec.Struct, frozen=True):
    """An alert to be delivered."""

    id: bytes
    """Its bytes in Redis."""
    alert: Alert
    age: float
    """Seconds since the mark was passed."""
    is_first: bool
    """Whether nobody has taken it before."""


class TakeAlert(Call[Taken | None], frozen=True):
    """Take the alert that is due first, if any is. It is due again after `lease` seconds.

    Reading the reply raises msgspec.DecodeError for an alert that this version cannot read.
    """

    script: ClassVar[str] = "take_alert"

    lease: float

    def arguments(self) -> list[Word]:
        return [milliseconds(self.lease)]

    def read(self, reply: Any) -> Taken | None:
        if not reply:
            return None
        id_, due, now = reply
        alert = decode_alert(id_)
        return Taken(id_, alert, (now - alert.at) / 1000, int(due) == alert.at)


class PutBackAlert(Call[bool], frozen=True):
    """Have an alert that was taken due again after `pause` seconds; None removes it."""

    script: ClassVar[str] = "put_back_alert"

    id: bytes
    pause: float | None = None

    def arguments(self) -> list[Word]:
        return [self.id, "" if self.pause is None else milliseconds(self.pause)]

    def read(self, reply: Any) -> bool:
        return bool(reply)
