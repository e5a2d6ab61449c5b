"""How long a warm start takes, and what each process then occupies."""

import asyncio
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.reporting import Figure
from services.stack.supervisor import Stack


async def measure(state: Path) -> list[Figure]:
    """Start a stack whose data is there already; then look at its processes while they are idle."""
    async with Stack(state, free_ports=True, partitions=4):
        pass
    started = time.perf_counter()
    async with Stack(state, free_ports=True, partitions=4) as stack:
        ready = time.perf_counter() - started
        await _dense(stack.endpoints["query"])
        dense = time.perf_counter() - started
        await asyncio.sleep(5)  # idle: what start-up left is collected
        memory = [_memory(name, pid) for name, pid in stack.endpoints["processes"].items()]
    return [
        Figure("warm up, all but dense search", f"{ready:.1f} s", "", "6 s", ready < 6),
        Figure("warm up, dense search", f"{dense:.1f} s", "", "15 s", dense < 15),
        *memory,
    ]


async def _dense(query: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        body = {"query": "ready?", "mode": "dense", "k": 1}
        url = f"{query}/v1/collections/any/search"
        while (await client.post(url, json=body)).status_code != httpx.codes.OK:
            await asyncio.sleep(0.1)


def _memory(name: str, pid: int) -> Figure:
    process = psutil.Process(pid)
    occupied = sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    return Figure(f"idle memory, {name}", f"{occupied / 2**20:.0f} MiB")
