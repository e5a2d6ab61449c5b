"""All benchmarks in one run: `make bench`. Names after it choose some: `python -m benchmarks load search`."""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from benchmarks import (
    backfill,
    freshness,
    hardware,
    ingest,
    load,
    peers,
    pipeline,
    query_encoding,
    search,
    service,
    startup,
)
from benchmarks.reporting import Figure, show
from services.stack.supervisor import Stack

SERVED = {"search": search.measure, "load": load.measure}
"""On one query service with 30,000 passages."""


async def _fresh(stack: Stack) -> list[Figure]:
    return await asyncio.to_thread(freshness.measure, stack.endpoints["command"], stack.endpoints["query"])


STACKED: Mapping[str, Callable[[Stack], Awaitable[list[Figure]]]] = {
    "freshness": _fresh,
    "ingest": ingest.measure,
    "pipeline": pipeline.measure,
    "peers": peers.measure,
    "backfill": backfill.measure,  # last: it leaves the stack with two encoders
}
NAMES = ("startup", *STACKED, *SERVED, "query_encoding")


async def _measure(folder: Path, names: set[str]) -> list[Figure]:
    figures = await startup.measure(folder) if "startup" in names else []
    async with Stack(folder, free_ports=True, partitions=4) as stack:
        for name, measure in STACKED.items():
            figures += await measure(stack) if name in names else []
        if names & set(SERVED):
            async with service.serving(stack) as served:
                for name, measure_served in SERVED.items():
                    figures += await measure_served(served) if name in names else []
    if "query_encoding" in names:
        figures += await asyncio.to_thread(query_encoding.measure)
    return figures


def main() -> None:
    """Run them in a folder of their own, and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Figures of this machine, with their baselines.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all, if none is given")
    names = set(parser.parse_args().names) or set(NAMES)
    if unknown := names - set(NAMES):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(prefix="nenrin-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder), names))
    show("Nenrin", hardware.describe(), figures)


if __name__ == "__main__":
    main()
