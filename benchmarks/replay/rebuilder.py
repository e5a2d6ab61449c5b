"""One process that loads `passages` from a log, and says how much memory that took: `-m … DSN KAFKA PREFIX`."""

import asyncio
import resource
import sys
from pathlib import Path

from benchmarks.replay.building import built
from benchmarks.replay.unindexed import WithoutVectorIndex
from eventlog.connection import KafkaSettings


def main() -> None:
    """Load, and print the largest resident size in MB."""
    dsn, kafka, prefix = sys.argv[1:]
    asyncio.run(built(dsn, KafkaSettings(kafka, topic_prefix=prefix), WithoutVectorIndex(), 2))
    print(_largest())


def _largest() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # bytes, as macOS counts
    # getrusage counts what the parent had when it started this process
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
