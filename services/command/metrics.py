"""What the command service counts; docs/reference/metrics.md says it in a table."""

from prometheus_client import CollectorRegistry, Counter


def writes(registry: CollectorRegistry) -> Counter:
    """Writes by what became of them: acknowledged, not_written or unknown."""
    return Counter("nenrin_writes", "Writes by what became of them.", ("outcome",), registry=registry)
