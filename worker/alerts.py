"""Delivers alerts about budgets: as a line of the log, and to a webhook.

A webhook that is slow or dead holds up nothing but its own alerts. It may get an alert twice: from
a worker that died before it could say that it had delivered it.
"""

from __future__ import annotations

import asyncio
import logging

import httpx
import msgspec

from contract.calls.alerts import Taken
from worker.config import WorkerConfig
from worker.policy.alerting import body_of, pause_after, text_of
from worker.queue.alerts import AlertQueue

_log = logging.getLogger("worker")

TIMEOUT = 10.0
"""Seconds that a webhook has to answer."""

LEASE = 60.0
"""Seconds after which another worker delivers what this one has taken: it has died."""

AT_A_TIME = 16
"""Alerts that are delivered at once."""


class Alerts:
    """The alerts that one worker delivers."""

    def __init__(self, queue: AlertQueue, config: WorkerConfig) -> None:
        self._queue = queue
        self._config = config

    def configure(self, config: WorkerConfig) -> None:
        """Use the webhook of another configuration."""
        self._config = config

    async def deliver(self) -> None:
        """Deliver what is due. Raises RedisFault."""
        while taken := await self._take():
            pauses = await asyncio.gather(*map(self._pause_of, taken))
            for each, pause in zip(taken, pauses, strict=True):
                await self._queue.put_back(each, pause)

    async def _take(self) -> list[Taken]:
        found: list[Taken] = []
        while len(found) < AT_A_TIME and (taken := await self._queue.take(LEASE)):
            found.append(taken)
            if taken.is_first:
                _log.warning(text_of(taken.alert), extra=_fields(taken))
        return found

    async def _pause_of(self, taken: Taken) -> float | None:
        """Deliver an alert, and return when to try that again; None: not at all."""
        if not self._config.budget_webhook:
            return None
        fault = await self._post(msgspec.json.encode(body_of(taken.alert)))
        if not fault:
            return None
        pause = pause_after(taken.age)
        if pause is None:
            _log.error("an alert is given up: the webhook %s", fault, extra=_fields(taken))
        else:
            _log.warning("the webhook %s; it is tried again in %.0f s", fault, pause)
        return pause

    async def _post(self, body: bytes) -> str:
        """Return what has failed, in words that do not hold the URL: it may be a secret."""
        try:
            # The body of its answer is not read, however long it is.
            async with (
                asyncio.timeout(TIMEOUT),
                self._client() as http,
                http.stream("POST", self._config.budget_webhook, content=body) as response,
            ):
                status = response.status_code
        except TimeoutError:
            return f"does not answer within {TIMEOUT:.0f} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return f"cannot be reached ({type(error).__name__})"
        return "" if 200 <= status < 300 else f"answers with status {status}"

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"Content-Type": "application/json", "User-Agent": "poe2gpt"},
            proxy=self._config.proxy,
            timeout=TIMEOUT,
            follow_redirects=False,
            trust_env=False,
        )


def _fields(taken: Taken) -> dict[str, object]:
    alert = taken.alert
    return {"budget": alert.budget, "percent": alert.percent}
