"""All benchmarks in one run: `make bench`."""

import asyncio
import tempfile
from pathlib import Path

from benchmarks import freshness, hardware, pipeline, search, startup
from benchmarks.reporting import Figure, show
from services.stack.supervisor import Stack


async def _measure(folder: Path) -> list[Figure]:
    figures = await startup.measure(folder)
    async with Stack(folder, free_ports=True, partitions=4) as stack:
        ends = stack.endpoints
        figures += await asyncio.to_thread(freshness.measure, ends["command"], ends["query"])
        figures += await pipeline.measure(stack)
        figures += await search.measure(stack)
    return figures


def main() -> None:
    """Run them in a folder of their own, and print the table."""
    with tempfile.TemporaryDirectory(prefix="nenrin-bench-") as folder:
        figures = asyncio.run(_measure(Path(folder)))
    show("Nenrin", hardware.describe(), figures)


if __name__ == "__main__":
    main()
