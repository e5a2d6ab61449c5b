"""What the heads probe counts and measures; docs/reference/metrics.md says it in a table."""

import time
from math import nan

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The probe's metrics, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.look_seconds = Histogram(
            "nenrin_heads_look_seconds",
            "Time of one look at the log, from asking Kafka to the commit in Postgres.",
            buckets=SECONDS,
            registry=registry,
        )
        self.failures = Counter(
            "nenrin_heads_failures",
            "Times that looking broke off, for Kafka or Postgres did not answer.",
            registry=registry,
        )
        age = Gauge(
            "nenrin_heads_age_seconds",
            "Time since the log's ends were last recorded; NaN before the first time.",
            registry=registry,
        )
        age.set_function(lambda: self.age)
        self._recorded_at: float | None = None

    def recorded(self) -> None:
        """A look was recorded just now."""
        self._recorded_at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last look was recorded; NaN before the first."""
        return nan if self._recorded_at is None else time.monotonic() - self._recorded_at
