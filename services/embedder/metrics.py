"""What an embedder counts and measures; docs/reference/metrics.md says it in a table."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PASSAGES = (1, 4, 16, 64, 256, 1024, 4096, 16384)
"""A GPU is given half a million tokens at a time, and a passage may have one."""


class Metrics:
    """The embedder's metrics, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "nenrin_embedder_records",
            "Derived records that were acknowledged, by what they say of their source record.",
            ("kind",),
            registry=registry,
        )
        self.passages = Counter(
            "nenrin_embedder_passages",
            "Passages whose vectors the model made.",
            registry=registry,
        )
        self.passages_reused = Counter(
            "nenrin_embedder_passages_reused",
            "Passages whose vectors were known already, because the same text was encoded before.",
            registry=registry,
        )
        self.encode_seconds = Histogram(
            "nenrin_embedder_encode_seconds",
            "Time that the model took for one batch of passages.",
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_passages = Histogram(
            "nenrin_embedder_batch_passages",
            "Passages in a batch for the model.",
            buckets=PASSAGES,
            registry=registry,
        )
        self.waiting_records = Gauge(
            "nenrin_embedder_waiting_records",
            "Source records that were fetched and whose derived records aren't acknowledged yet.",
            registry=registry,
        )
