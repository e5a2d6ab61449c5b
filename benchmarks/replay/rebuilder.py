"""Processes that load `passages` from a log, and how much memory they took together: `-m … DSN KAFKA PREFIX`."""

import asyncio
import contextlib
import sys
from pathlib import Path

import psutil

from benchmarks.replay.building import built
from benchmarks.replay.unindexed import WithoutVectorIndex
from eventlog.connection import KafkaSettings

EVERY = 0.02
"""Seconds between two looks at a process that may be gone at the next."""


def main() -> None:
    """Load, and print the sum of the largest resident sizes of this process and its workers, in MB."""
    print(asyncio.run(_measure(*sys.argv[1:])))


async def _measure(dsn: str, kafka: str, prefix: str) -> float:
    largest: dict[int, float] = {}
    watching = asyncio.create_task(_watch(largest))
    await built(dsn, KafkaSettings(kafka, topic_prefix=prefix), WithoutVectorIndex(), 2)
    watching.cancel()
    _look(largest)
    return sum(largest.values())


async def _watch(largest: dict[int, float]) -> None:
    while True:
        _look(largest)
        await asyncio.sleep(EVERY)


def _look(largest: dict[int, float]) -> None:
    here = psutil.Process()
    for each in [here, *here.children()]:
        with contextlib.suppress(psutil.Error, OSError, ValueError):  # it is gone
            largest[each.pid] = max(largest.get(each.pid, 0), _size(each))


def _size(process: psutil.Process) -> float:
    """The largest so far where Linux tells; elsewhere, the present one."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return float(process.memory_info().rss) / 1024**2
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
