"""`nenrin doctor`: holds Kafka, Postgres and the processes against each other, and names what mends them."""

from services.doctor.examining import examine
from services.doctor.findings import Finding, Level

__all__ = ["Finding", "Level", "examine"]
