"""Sixteen clients at once: dense searches by vector over HTTP, against asyncpg alone on the same statement.

Both share this machine's cores with Postgres; the clients over HTTP are `wrk`'s, which is compiled and costs little
(https://github.com/wg/wrk; `apt install wrk`, `dnf install wrk`, `brew install wrk`).
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import asyncpg
import msgspec
import uvloop

from benchmarks.passages import COLLECTION, likenesses
from benchmarks.reporting import Figure
from benchmarks.service import PASSAGES, SEARCH, K, Service, by_vector
from projections.database import prepare
from projections.passages import NAME, read
from projections.reading import SESSION, Reader, statement

CLIENTS = 16
VECTORS = 2_000
ROUNDS, SECONDS = 3, 5
"""The two take turns, and the median of the ratios counts."""
MARK = 0.45

_SCRIPT = Path(__file__).with_name("load.lua")


class Load(msgspec.Struct, frozen=True):
    """Queries a second, and milliseconds of a query at p50 and p99."""

    rate: float
    p50: float
    p99: float


class _Said(msgspec.Struct):
    """What the script says at its end; times in microseconds."""

    requests: int
    failed: int
    duration: int
    p50: int
    p99: int


def over_http(port: int, bodies: Path, seconds: int = SECONDS) -> Load:
    """Wrk's clients, each sending its next search as soon as the last is answered."""
    command = ("wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "-s", str(_SCRIPT), f"http://127.0.0.1:{port}")
    told = {"LOAD_PATH": SEARCH, "LOAD_BODIES": str(bodies)}
    output = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=True).stdout
    said = msgspec.json.decode(output.splitlines()[-1], type=_Said)
    if said.failed:
        raise RuntimeError(f"{said.failed} of {said.requests} requests failed:\n{output}")
    return Load(said.requests / said.duration * 1e6, said.p50 / 1000, said.p99 / 1000)


async def bare(dsn: str, vectors: list[bytes]) -> Load:
    """As many connections of asyncpg, on the service's own statement, prepared, with its session settings."""
    async with Reader(dsn).reading() as reader:
        generation = await reader.generation(NAME)
    sql = statement(read.dense(COLLECTION, K, b"").shape, generation)
    connections = [await asyncpg.connect(dsn, server_settings=SESSION) for _ in range(CLIENTS)]
    for connection in connections:
        await prepare(connection)
    statements = [await connection.prepare(sql) for connection in connections]
    await asyncio.gather(*(each.fetch(COLLECTION, K, vectors[0]) for each in statements))
    began = time.perf_counter()
    took = [took for each in await asyncio.gather(*(_asking(each, vectors) for each in statements)) for took in each]
    rate = len(took) / (time.perf_counter() - began)
    for connection in connections:
        await connection.close()
    took.sort()
    return Load(rate, took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000)


async def _asking(one: asyncpg.prepared_stmt.PreparedStatement, vectors: list[bytes]) -> list[float]:
    took: list[float] = []
    deadline = time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < deadline:
        await one.fetch(COLLECTION, K, vectors[len(took) % len(vectors)])
        took.append(time.perf_counter() - began)
    return took


def compare(service: Service) -> list[tuple[Load, Load]]:
    """Both, in turn."""
    vectors = likenesses(VECTORS, 2)
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        bodies = Path(file.name)
        bodies.write_bytes(b"".join(by_vector(vector) + b"\n" for vector in vectors))
        over_http(service.port, bodies, 2)  # opens the service's connections, and prepares the statement on each
        return [(over_http(service.port, bodies), uvloop.run(bare(service.dsn, vectors))) for _ in range(ROUNDS)]


async def measure(service: Service) -> list[Figure]:
    """The table's lines."""
    what = f"dense search, {CLIENTS} clients, {PASSAGES:,} passages"
    if shutil.which("wrk") is None:
        return [Figure(what, "not measured: wrk is missing (apt install wrk)", "", f"{MARK:.0%}")]
    pairs = await asyncio.to_thread(compare, service)
    ratio = median(ours.rate / alone.rate for ours, alone in pairs)
    ours, alone = pairs[-1]
    return [
        Figure(
            what,
            f"{median(ours.rate for ours, _ in pairs):.0f} queries/s, {ratio:.0%} of the baseline",
            f"asyncpg alone {median(alone.rate for _, alone in pairs):.0f}/s",
            f"{MARK:.0%}",
            ratio >= MARK,
        ),
        Figure(
            "the same, p50 and p99",
            f"{ours.p50:.1f} and {ours.p99:.1f} ms",
            f"asyncpg alone {alone.p50:.1f} and {alone.p99:.1f} ms",
        ),
    ]
