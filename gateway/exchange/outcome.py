"""How one request ended: what its log line and the metrics are made of."""

from __future__ import annotations

import logging

import msgspec

_log = logging.getLogger("gateway.exchange")


class Outcome(msgspec.Struct, frozen=True):
    """One accepted request that is over. Durations are in seconds."""

    request: str
    job: str
    client: str
    group: str | None
    """The team of the client, if it has one."""
    model: str
    """As the client wrote it."""
    bot: str
    """What the upstream calls it."""
    token: str | None
    """The label of the Poe token, never the token; None: no attempt was begun."""
    worker: str | None
    attempts: int
    stream: bool
    attached: bool
    """Whether another request had begun the answer."""
    status: int
    queue_wait: float | None
    first_text: float | None
    duration: float
    outcome: str
    """`ok`, `accepted`, `client left`, `refused`, or the kind of the failure."""

    def log(self) -> None:
        """Write the request's line."""
        told = {name: _rounded(getattr(self, name)) for name in self.__struct_fields__}
        _log.info("request", extra={"fields": told})


def _rounded(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value
