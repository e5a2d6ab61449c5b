"""Dense search by vector, one client: rows only, the one statement with version and lag, and the same over HTTP."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import numpy as np
import uvloop

from benchmarks.reporting import Figure, quantile
from projections.control.install import Wanted, install
from projections.database import prepare
from projections.documents import Documents
from projections.generations.lifecycle import Build
from projections.passages import Passages, read
from projections.reading import SESSION, Reader, statement
from schemas.encoders import MINILM
from services.stack.supervisor import Stack

PASSAGES = 20_000
K = 10
ROUNDS, EACH = 40, 25
"""They take turns, so that whatever else the machine does falls on all of them alike."""
START_WITHIN = 60.0

_INCARNATION = "benchmark"
_ROWS_ONLY = f"""
SELECT p.document_id, p.title, 1 - (p.vector <=> $2) AS score, p.ordinal, p.start, p."end", p.text, d.metadata
FROM passages_g1.passages p JOIN passages_g1.documents d USING (collection, document_id)
WHERE p.collection = $1 ORDER BY p.vector <=> $2 LIMIT {K}
"""

Ask = Callable[[bytes], Coroutine[Any, Any, object]]


def vectors(count: int, seed: int) -> list[bytes]:
    """Random directions, the hardest that an index can be given."""
    values = np.random.default_rng(seed).standard_normal((count, MINILM.dimensions))
    return [row.astype("<f2").tobytes() for row in values / np.linalg.norm(values, axis=1, keepdims=True)]


async def fill(dsn: str) -> None:
    """Both projections installed, and passages as the projector would have written them; the index is built after."""
    build = Build("documents", 4, _INCARNATION)
    with_vectors = msgspec.structs.replace(build, encoder=MINILM.name, dimensions=MINILM.dimensions)
    await install(dsn, [Wanted(Documents(), build), Wanted(Passages(), with_vectors)])
    connection = await asyncpg.connect(dsn)
    await prepare(connection)
    await connection.execute("DROP INDEX passages_g1.passages_vector")
    text = "Some two hundred characters of text, as passages have them. " * 4
    names = [f"document-{number}" for number in range(PASSAGES)]
    await connection.copy_records_to_table(
        "documents",
        schema_name="passages_g1",
        columns=Passages().columns("documents"),
        records=[("bench", name, 0, "A title", '{"lang":"en"}', 1, 0, 0) for name in names],
    )
    await connection.copy_records_to_table(
        "passages",
        schema_name="passages_g1",
        columns=Passages().columns("passages"),
        records=[
            ("bench", name, 0, 0, len(text), "A title", text, vector)
            for name, vector in zip(names, vectors(PASSAGES, 1), strict=True)
        ],
    )
    await connection.execute(
        f"INSERT INTO passages_g1.digests VALUES (0, 'bench', {PASSAGES}, {PASSAGES}, 0, 0);"
        "CREATE INDEX passages_vector ON passages_g1.passages USING hnsw (vector halfvec_cosine_ops);"
        "UPDATE passages_g1.positions SET next = 5000, epoch = 1, committed_at = clock_timestamp();"
        "INSERT INTO nenrin.heads SELECT topic, partition, next, incarnation, clock_timestamp() "
        "FROM passages_g1.positions;"
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


class Http:
    """A client that costs next to nothing, so that the service is what is measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer, which has to be a 200."""
        head = f"POST {path} HTTP/1.1\r\nHost: query\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(65536)
        answered, _, content = received.partition(b"\r\n\r\n")
        if b" 200 " not in answered.partition(b"\r\n")[0]:
            raise RuntimeError(received.decode(errors="replace"))
        length = int(answered.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(content) < length:
            content += self._socket.recv(65536)
        return content


async def medians(dsn: str, port: int) -> dict[str, float]:
    """Seconds at p50 of the three, of one run."""
    bare, ours = await asyncpg.connect(dsn), await asyncpg.connect(dsn, server_settings=SESSION)
    for connection in (bare, ours):
        await prepare(connection)
    rows_only = await bare.prepare(_ROWS_ONLY)
    async with Reader(dsn).reading() as reader:
        generation = await reader.generation("passages")
    whole = await ours.prepare(statement(read.dense("bench", K, b"").shape, generation))
    http, bodies = Http(port), {vector: _body(vector) for vector in vectors(ROUNDS * EACH, 2)}

    async def over_http(vector: bytes) -> object:
        return http.post("/v1/collections/bench/search", bodies[vector])

    ways: Mapping[str, Ask] = {
        "rows": lambda vector: rows_only.fetch("bench", vector),
        "statement": lambda vector: whole.fetch("bench", K, vector),
        "http": over_http,
    }
    seconds = await _take_turns(ways, list(bodies))
    for connection in (bare, ours):
        await connection.close()
    return {name: quantile(values, 0.5) for name, values in seconds.items()}


async def _take_turns(ways: Mapping[str, Ask], asked: list[bytes]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for begin in range(0, len(asked), EACH):
        for name, ask in ways.items():
            for vector in asked[begin : begin + EACH]:
                started = time.perf_counter()
                await ask(vector)
                seconds[name].append(time.perf_counter() - started)
    return {name: values[len(values) // 10 :] for name, values in seconds.items()}  # the first turns warm up


def _body(vector: bytes) -> bytes:
    numbers = np.frombuffer(vector, dtype="<f2").astype(np.float64).round(6).tolist()
    return msgspec.json.encode({"vector": numbers, "k": K})


@contextmanager
def serving(dsn: str) -> Iterator[int]:
    """A query service on this database; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {"NENRIN_POSTGRES_READER": dsn, "NENRIN_PORT": str(port)}
    process = subprocess.Popen((sys.executable, "-P", "-m", "nenrin", "query"), env=os.environ | settings)
    try:
        _wait_until_loaded(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_loaded(port: int) -> None:
    """Until the encoder is there too: it would take time from the searches while it loads."""
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            Http(port).post("/v1/collections/bench/search", b'{"query": "warm"}')
            return
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def compare(dsn: str) -> dict[str, float]:
    """Fill a database and measure the three ways of asking it."""
    uvloop.run(fill(dsn))
    with serving(dsn) as port:
        return uvloop.run(medians(dsn, port))


async def measure(stack: Stack) -> list[Figure]:
    """The table's lines, on a database of their own in the stack's Postgres."""
    dsn = urlunsplit(urlsplit(stack.endpoints["postgres"])._replace(path="/search_benchmark"))
    connection = await asyncpg.connect(stack.endpoints["postgres"])
    await connection.execute("CREATE DATABASE search_benchmark")
    try:
        seconds = await asyncio.to_thread(compare, dsn)
    finally:
        await connection.execute("DROP DATABASE search_benchmark WITH (FORCE)")
        await connection.close()
    rows, one, http = seconds["rows"], seconds["statement"], seconds["http"]
    return [
        Figure(
            f"dense search p50, {PASSAGES:,} passages: one statement",
            f"{one * 1000:.2f} ms, {one / rows:.2f} ×",
            f"rows only {rows * 1000:.2f} ms",
            "1.5 ×",
            one <= 1.5 * rows,
        ),
        Figure(
            "the same over HTTP",
            f"{http * 1000:.2f} ms, {http / one:.2f} ×",
            f"the statement {one * 1000:.2f} ms",
            "2 × or + 0.4 ms",
            http <= max(2 * one, one + 0.0004),
        ),
    ]
