"""What each process of a stack holds, now and again, and what it may hold at most."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping

import psutil

from services.stack.status import own
from services.stack.supervisor import Stack

EVERY = 1.0

BOUNDS: Mapping[str, int] = {
    "kafka": 1_200,  # a heap of 768 and what the JVM needs beside it
    "postgres": 1_000,  # 256 shared, and the private memory of some 60 backends
    "command": 450,  # 128 for single writes that wait for Kafka, 8 for streams
    "embedder": 1_500,  # the model, 16 of records and five times that in vectors, the slices of two calls
    "projector": 500,  # what it fetched of both topics and has not applied
    "heads": 200,
    "query": 700,  # the graph that encodes questions, and answers of up to 1,000 documents
}
"""MiB that a process may hold under any load."""


class Memory:
    """MiB of each process, over time."""

    def __init__(self) -> None:
        self.seen: dict[str, list[float]] = defaultdict(list)

    def look(self, pids: Mapping[str, int]) -> None:
        """Take one look."""
        for name, pid in pids.items():
            self.seen[name].append(resident(pid))

    @contextlib.asynccontextmanager
    async def watching(self, stack: Stack) -> AsyncIterator[None]:
        """Look every second, while the context lasts."""
        task = asyncio.create_task(self._watch(stack))
        try:
            yield
        finally:
            task.cancel()

    async def _watch(self, stack: Stack) -> None:
        while True:
            self.look(stack.pids)
            await asyncio.sleep(EVERY)

    def most(self, name: str) -> float:
        """The most that a process held."""
        return max(self.seen[name], default=0.0)

    def growth(self, name: str) -> float:
        """By how much its most in the last third is above its most in the second."""
        seen = self.seen[name]
        third = len(seen) // 3
        return max(seen[-third:]) - max(seen[third : 2 * third]) if third else 0.0


def resident(pid: int) -> float:
    """MiB of a process and its children; what these share with it counts once."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        total = leader.memory_info().rss
        for child in leader.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += own(child)
    return total / 2**20
