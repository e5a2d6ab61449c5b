"""What searches notice of a rebuild and its promotion: by the real commands, on a stack of its own."""

import asyncio
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec

from benchmarks.passages import texts
from benchmarks.replay import logs
from benchmarks.reporting import Figure, quantile
from benchmarks.service import Http
from eventlog.connection import KafkaSettings
from services.stack.supervisor import Stack

QUERIES = 500
"""Searches that the idle stack answers first."""
PAUSE = 0.02
"""Seconds between two searches: a stack with one client, that has time for something else."""
TIMES = 3.0
_SEARCH = f"/v1/collections/{logs.COLLECTION}/search"


async def measure(folder: Path, events: int) -> list[Figure]:
    """The table's line: `events` are served, and rebuilt from the derived topic."""
    found = await asyncio.to_thread(texts, events)
    async with Stack(folder, free_ports=True, services=()) as stack:
        kafka = KafkaSettings(stack.endpoints["kafka"])
        incarnation = await logs.make_topics(kafka)
        await asyncio.to_thread(logs.produce, kafka, incarnation, logs.documents(logs.Mix(events, 40), found))
    async with Stack(folder, free_ports=True, partitions=logs.PARTITIONS) as stack:
        await _until_served(stack, events)
        searching = Searching(stack.endpoints["query"], found)
        idle = await asyncio.to_thread(searching.ask, QUERIES)
        rebuilding = asyncio.create_task(_rebuild(folder))
        busy: list[float] = []
        while not rebuilding.done():
            busy += await asyncio.to_thread(searching.ask, 10)
        took = await rebuilding
    return [_figure(idle, busy, searching.failed, took, events)]


async def _until_served(stack: Stack, events: int) -> None:
    """Until both projections have applied every record."""
    connection = await asyncpg.connect(stack.endpoints["postgres"])
    async with asyncio.timeout(300):
        for name in ("documents", "passages"):
            while await connection.fetchval(f"SELECT sum(next) FROM {name}_g1.positions") < events:
                await asyncio.sleep(0.2)
    await connection.close()


class Searching:
    """One client that searches, and counts what fails."""

    def __init__(self, url: str, found: list[str]) -> None:
        self._port = urlsplit(url).port or 80
        self._bodies = [msgspec.json.encode({"query": " ".join(text.split()[:6]), "k": 10}) for text in found[:997]]
        self._asked = 0
        self.failed = 0
        self._http = Http(self._port)

    def ask(self, count: int) -> list[float]:
        """Seconds of each of so many hybrid searches."""
        took = []
        for _ in range(count):
            self._asked += 1
            began = time.perf_counter()
            try:
                self._http.post(_SEARCH, self._bodies[self._asked % len(self._bodies)])
            except (OSError, RuntimeError):
                self.failed += 1
                self._http = Http(self._port)
            took.append(time.perf_counter() - began)
            time.sleep(PAUSE)
        return took


async def _rebuild(folder: Path) -> float:
    """`nenrin projections rebuild passages`, which promotes; its seconds."""
    began = time.perf_counter()
    command = (sys.executable, "-m", "nenrin", "projections", "rebuild", "passages", "--state", str(folder), "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the rebuild has failed: {output.decode()}")
    if not msgspec.json.decode(output)["promoted"]:
        raise RuntimeError(f"nothing was promoted: {output.decode()}")
    return time.perf_counter() - began


def _figure(idle: list[float], busy: list[float], failed: int, took: float, events: int) -> Figure:
    before, during = quantile(idle, 0.99), quantile(busy, 0.99)
    return Figure(
        f"searches while {events:,} events are rebuilt and promoted ({took:.0f} s)",
        f"{failed} of {len(busy):,} failed; p99 {during * 1000:.1f} ms, {during / before:.1f} x the baseline; "
        f"p50 {quantile(busy, 0.5) * 1000:.1f} ms",
        f"idle: p99 {before * 1000:.1f} ms, p50 {quantile(idle, 0.5) * 1000:.1f} ms",
        f"0 failed, {TIMES:.0f} x",
        failed == 0 and during <= TIMES * before,
    )
