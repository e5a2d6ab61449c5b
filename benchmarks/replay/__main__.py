"""All of it in one run: `make bench-replay`. `--events` makes it smaller, for a look."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from benchmarks import hardware
from benchmarks.replay import loads, serving
from benchmarks.reporting import Figure, show
from services.stack.supervisor import Stack

EVENTS = 200_000
SERVED = 20_000


async def _measure(folder: Path, names: set[str], events: int) -> list[Figure]:
    figures: list[Figure] = []
    if "loads" in names:
        async with Stack(folder / "servers", free_ports=True, services=()) as stack:
            figures += await loads.measure(stack, events)
    if "serving" in names:
        figures += await serving.measure(folder / "served", min(SERVED, events))
    return figures


def main() -> None:
    """Run them in a folder of their own, and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.replay", description="Replay, with its baselines.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of loads, serving; both, if none is given")
    parser.add_argument("--events", type=int, default=EVENTS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nenrin-bench-") as folder:
        names = set(asked.names) or {"loads", "serving"}
        figures = asyncio.run(_measure(Path(folder), names, asked.events))
    show("Nenrin: replay", hardware.describe(), figures)


if __name__ == "__main__":
    main()
