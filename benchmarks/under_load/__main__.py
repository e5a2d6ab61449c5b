"""Everything under load in one run: `python -m benchmarks.under_load`. Names after it choose chapters."""

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import corpus, hardware
from benchmarks.reporting import Figure, show
from benchmarks.under_load import disks, outages, overload
from benchmarks.under_load.callers import Callers, hung_up
from benchmarks.under_load.evidence import page
from services.stack.supervisor import Stack

Chapter = Callable[[Stack, Callers, float], Awaitable[list[Figure]]]
CHAPTERS: Mapping[str, Chapter] = {"load": overload.measure, "kafka": outages.kafka, "postgres": outages.postgres}
NAMES = (*CHAPTERS, "disks")
TEXTS = 2_000
SHORT = 60
"""Characters of a text where it isn't the encoder that is looked at."""


async def _measure(folder: Path, names: list[str], load: float, away: float) -> list[Figure]:
    texts = corpus.passages(TEXTS)
    short = [text[:SHORT] for text in texts]
    figures: list[Figure] = []
    for name in names:
        if name == "disks":
            figures += await _disks(folder / "disks", short, away)
        elif name == "load":
            figures += await _chapter(folder / name, CHAPTERS[name], texts, load)
        else:
            figures += await _chapter(folder / name, CHAPTERS[name], short, away)
    return figures


async def _chapter(folder: Path, measure: Chapter, texts: list[str], seconds: float) -> list[Figure]:
    async with Stack(folder, free_ports=True) as stack, hung_up(stack, texts) as callers:
        return await measure(stack, callers, seconds)


async def _disks(folder: Path, texts: list[str], seconds: float) -> list[Figure]:
    try:
        return await disks.measure(folder, texts, seconds)
    except disks.NoMount as refusal:
        return [Figure("full disks", f"not run: {refusal}", "", "run", False)]


def main() -> None:
    """Run the chapters, print the table, and keep it where that was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.under_load", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CHAPTER", help=f"of {', '.join(NAMES)}; all, if none is given")
    parser.add_argument("--load", type=float, default=180, metavar="S", help="seconds of overload")
    parser.add_argument("--away", type=float, default=30, metavar="S", help="seconds that a server is away")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the page of evidence there")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left, nor mounted
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="nenrin-load-") as folder:
        figures = asyncio.run(_measure(Path(folder), given.names or list(NAMES), given.load, given.away))
    show("Under load", hardware.describe(), figures)
    if given.keep is not None:
        given.keep.write_text(page(began, hardware.describe(), figures))


if __name__ == "__main__":
    main()
