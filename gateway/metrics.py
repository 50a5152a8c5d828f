"""The metrics for Prometheus, one registry per process: docs/operations.md adds them up."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from contract.ledger import LedgerRecord, Request
from gateway.exchange.outcome import Outcome
from gateway.queue.fleet import Fleet

CONTENT_TYPE = CONTENT_TYPE_LATEST

MOST_NAMES = 100
"""Keys, and models, that metrics tell apart; the others are `OTHER`."""

OTHER = "other"

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one gateway, and its view of the fleet."""

    def __init__(self, gateway: str) -> None:
        self._registry = registry = CollectorRegistry()
        self.responses = Counter(
            "poe2gpt_http_responses", "Responses by status.", ["status"], registry=registry
        )
        self.outcomes = Counter(
            "poe2gpt_answers",
            "Accepted requests by how they ended.",
            ["outcome"],
            registry=registry,
        )
        self.refused_keys = Counter(
            "poe2gpt_refused_keys",
            "Keys that nobody has (wrong), or that were not even looked at (throttled).",
            ["verdict"],
            registry=registry,
        )
        self.queue_wait = Histogram(
            "poe2gpt_queue_wait_seconds",
            "Time between a request and its first attempt.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.first_text = Histogram(
            "poe2gpt_first_text_seconds",
            "Time between a request and the first text of its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.duration = Histogram(
            "poe2gpt_answer_seconds",
            "Time between a request and the end of its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.active = Gauge(
            "poe2gpt_active_requests", "Accepted requests not yet answered.", registry=registry
        )
        self.incomplete_bodies = Gauge(
            "poe2gpt_incomplete_body_bytes",
            "Bytes in memory of request bodies that are still arriving.",
            registry=registry,
        )
        self._points = Counter(
            "poe2gpt_points",
            "Points that requests were settled at, by key and model.",
            ["key", "model"],
            registry=registry,
        )
        self._corrected = Counter(
            "poe2gpt_corrected_points",
            "Points by which Poe's own history has corrected that.",
            ["direction"],
            registry=registry,
        )
        self._named: dict[str, set[str]] = {"key": set(), "model": set()}
        """What has a label of its own."""
        self._waiting = Gauge(
            "poe2gpt_queue_depth", "Jobs that wait, in all of Redis.", registry=registry
        )
        self._workers = Gauge("poe2gpt_workers", "Live workers.", registry=registry)
        self._tokens = Gauge(
            "poe2gpt_tokens",
            "Poe tokens by what they can do now.",
            ["worker", "state"],
            registry=registry,
        )
        self._unowned = Gauge(
            "poe2gpt_unowned_tokens", "Poe tokens that no worker owns.", registry=registry
        )
        self._running = Gauge(
            "poe2gpt_running_jobs", "Jobs under way at a worker.", ["worker"], registry=registry
        )
        self._clock_steps = Gauge(
            "poe2gpt_redis_clock_steps",
            "How often Redis's clock was found to have been set, and put right.",
            registry=registry,
        )
        self._clock_offset = Gauge(
            "poe2gpt_redis_clock_offset_seconds",
            "What is added to Redis's clock, since it was set.",
            registry=registry,
        )
        info = Gauge("poe2gpt_gateway", "This process.", ["gateway"], registry=registry)
        info.labels(gateway).set(1)
        # To look a label up takes longer than to count.
        self._response, self._outcome = cache(self.responses.labels), cache(self.outcomes.labels)

    def count_response(self, status: int) -> None:
        """Count a response, whatever it was asked for."""
        self._response(status).inc()

    def refuse_key(self, verdict: str) -> None:
        """Count a key that was refused."""
        self.refused_keys.labels(verdict).inc()

    def count(self, outcome: Outcome) -> None:
        """Count one request that has ended."""
        self._outcome(outcome.outcome).inc()
        self.duration.observe(outcome.duration)
        if outcome.queue_wait is not None and not outcome.attached:
            self.queue_wait.observe(outcome.queue_wait)
        if outcome.first_text is not None:
            self.first_text.observe(outcome.first_text)

    def spend(self, record: LedgerRecord) -> None:
        """Count a record of the ledger, of whichever gateway."""
        if isinstance(record, Request):
            # What costs nothing gets no label: a client may ask for any model.
            if record.settled:
                labels = self._label("key", record.name), self._label("model", record.model)
                self._points.labels(*labels).inc(record.settled)
        elif record.job:
            direction = "up" if record.points > 0 else "down"
            self._corrected.labels(direction).inc(abs(record.points))

    def _label(self, of: str, name: str) -> str:
        named = self._named[of]
        if name not in named and len(named) >= MOST_NAMES:
            return OTHER
        named.add(name)
        return name

    def observe(self, fleet: Fleet) -> None:
        """Take the gauges from the last look at the fleet."""
        self._waiting.set(fleet.waiting)
        self._workers.set(len(fleet.workers))
        self._unowned.set(fleet.unowned)
        self._clock_steps.set(fleet.clock_steps)
        self._clock_offset.set(fleet.clock_offset)
        self._tokens.clear()
        self._running.clear()
        for worker in fleet.workers:
            tokens = worker.tokens
            for state in ("free", "cooling", "busy", "parked", "disabled"):
                self._tokens.labels(worker.id, state).set(getattr(tokens, state))
            self._running.labels(worker.id).set(worker.running)

    def render(self) -> bytes:
        """Return the text that Prometheus reads."""
        return generate_latest(self._registry)
