"""What a projector counts and measures; docs/reference/metrics.md says it in a table."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from projections.port import Entry, Nothing, Refusal

FRESHNESS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0, 3600.0)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
OUTCOMES = ("applied", "parked", "skipped", "duplicate")
RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metrics:
    """The projector's metrics, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "nenrin_projector_records",
            "Records read, by what became of them.",
            ("projection", "generation", "outcome"),
            registry=registry,
        )
        self.freshness_seconds = Histogram(
            "nenrin_projector_freshness_seconds",
            "Age of an event when it was committed: from the broker's timestamp on its source record.",
            ("projection", "generation"),
            buckets=FRESHNESS,
            registry=registry,
        )
        self.apply_seconds = Histogram(
            "nenrin_projector_apply_seconds",
            "Time that a batch took in Postgres, its commit included.",
            ("projection", "generation"),
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_records = Histogram(
            "nenrin_projector_batch_records",
            "Records in a batch.",
            ("projection", "generation"),
            buckets=RECORDS,
            registry=registry,
        )
        self.stopped = Gauge(
            "nenrin_projector_stopped",
            "1 while the projection can't go on for what it read, 0 otherwise.",
            ("projection", "generation"),
            registry=registry,
        )
        self.retries = Counter(
            "nenrin_projector_retries",
            "Times that Postgres could not take a batch or a claim, or too much was parked, before it was tried again.",
            ("projection", "generation"),
            registry=registry,
        )
        self.claims = Counter(
            "nenrin_projector_claims",
            "Claims of partitions: one at the start, and one whenever the group divides them anew.",
            ("projection", "generation"),
            registry=registry,
        )
        self.by_generation = (
            self.freshness_seconds,
            self.apply_seconds,
            self.batch_records,
            self.stopped,
            self.retries,
            self.claims,
        )


class ProjectionMetrics:
    """The metrics of one generation of a projection."""

    def __init__(self, metrics: Metrics, projection: str, generation: int) -> None:
        self._metrics = metrics
        self._labels = labels = projection, str(generation)
        self._applied, self._parked, self._skipped, self._duplicate = (
            metrics.records.labels(*labels, outcome) for outcome in OUTCOMES
        )
        self._freshness = metrics.freshness_seconds.labels(*labels)
        self._batch = metrics.batch_records.labels(*labels)
        self.apply_seconds = metrics.apply_seconds.labels(*labels)
        self.stopped = metrics.stopped.labels(*labels)
        self.retries = metrics.retries.labels(*labels)
        self.claims = metrics.claims.labels(*labels)

    def end(self) -> None:
        """Show no more of a generation that is no longer followed: what it last said would stand for ever."""
        for outcome in OUTCOMES:
            self._metrics.records.remove(*self._labels, outcome)
        for metric in self._metrics.by_generation:
            metric.remove(*self._labels)

    def read(self, entries: Sequence[Entry], position: int) -> None:
        """Count a batch before it is applied at `position`."""
        self._batch.observe(len(entries))
        self._duplicate.inc(sum(entry.place.next <= position for entry in entries))

    def committed(self, entries: Sequence[Entry]) -> None:
        """Count what one transaction has just applied."""
        now = time.time()
        for entry in entries:
            if isinstance(entry.content, Nothing):
                self._skipped.inc(entry.content.events)
                continue
            (self._parked if isinstance(entry.content, Refusal) else self._applied).inc()
            self._freshness.observe(max(0.0, now - entry.place.time / 1000))
