"""Searches of one client: what version and lag cost a dense one, what HTTP adds, and hybrid ones from their text on."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
import uvloop

from benchmarks.passages import COLLECTION, likenesses, texts
from benchmarks.reporting import Figure, quantile
from benchmarks.service import PASSAGES, SEARCH, Http, K, Service, by_vector, by_words
from encoders import questions
from projections.database import prepare
from projections.passages import NAME, read
from projections.reading import SESSION, Reader, statement
from schemas.encoders import MINILM

ROUNDS, EACH = 40, 25
"""They take turns, so that whatever else the machine does falls on all of them alike."""
ASKED = 100
"""Questions of the hybrid search, all of them different: none is in the service's memory of questions."""

_ROWS_ONLY = f"""
SELECT p.document_id, p.title, 1 - (p.vector <=> $2) AS score, p.ordinal, p.start, p."end", p.text, d.metadata
FROM passages_g1.passages p JOIN passages_g1.documents d USING (collection, document_id)
WHERE p.collection = $1 ORDER BY p.vector <=> $2 LIMIT {K}
"""

Way = Callable[[int], Coroutine[Any, Any, object]]
"""Asks the question of a number, one way or another."""


class Seconds(msgspec.Struct):
    """At p50. `rows`, `statement` and `http` of a dense search; the rest of a hybrid one."""

    rows: float
    statement: float
    http: float
    encoding: float
    hybrid_rows: float
    hybrid_http: float


async def measured(service: Service) -> Seconds:
    """All of it, of one run."""
    bare = await asyncpg.connect(service.dsn)
    ours = await asyncpg.connect(service.dsn, server_settings=SESSION)
    for connection in (bare, ours):
        await prepare(connection)
    http = Http(service.port)
    dense = await _dense(bare, ours, http, service.dsn)
    hybrid = await _hybrid(ours, http, service.dsn)
    for connection in (bare, ours):
        await connection.close()
    return Seconds(**dense, **hybrid)


async def _dense(bare: asyncpg.Connection, ours: asyncpg.Connection, http: Http, dsn: str) -> dict[str, float]:
    vectors = likenesses(ROUNDS * EACH, 2)
    bodies = [by_vector(vector) for vector in vectors]
    rows_only = await bare.prepare(_ROWS_ONLY)
    async with Reader(dsn).reading() as reader:
        generation = await reader.generation(NAME)
    whole = await ours.prepare(statement(read.dense(COLLECTION, K, b"").shape, generation))

    async def over_http(number: int) -> object:
        return http.post(SEARCH, bodies[number])

    ways: dict[str, Way] = {
        "rows": lambda number: rows_only.fetch(COLLECTION, vectors[number]),
        "statement": lambda number: whole.fetch(COLLECTION, K, vectors[number]),
        "http": over_http,
    }
    return await _take_turns(ways, len(vectors))


async def _hybrid(ours: asyncpg.Connection, http: Http, dsn: str) -> dict[str, float]:
    """Encoding alone, in this process; the statement's rows without its frame; and both over HTTP."""
    asked = _questions(ASKED)
    encoder = questions.load(MINILM)
    async with Reader(dsn).reading() as reader:
        generation = await reader.generation(NAME)

    def question(number: int, vector: bytes) -> tuple[str, Sequence[Any]]:
        wanted = read.hybrid(COLLECTION, K, vector, asked[number])
        return f"WITH {wanted.shape(generation)} SELECT n, body FROM rows", wanted.values

    rows = await ours.prepare(question(0, b"")[0])
    vectors: dict[int, bytes] = {}

    async def encoding(number: int) -> object:
        vectors[number] = encoder.encode_query(asked[number]).astype("<f2").tobytes()
        return vectors[number]

    async def over_http(number: int) -> object:
        return http.post(SEARCH, by_words(asked[number]))

    ways: dict[str, Way] = {
        "encoding": encoding,
        "hybrid_rows": lambda number: rows.fetch(*question(number, vectors[number])[1]),
        "hybrid_http": over_http,
    }
    return await _take_turns(ways, len(asked))


def _questions(count: int) -> list[str]:
    """The four longest words of texts from everywhere: such as people search for."""
    return [" ".join(sorted(text.split(), key=len)[-4:]) for text in texts(count, step=PASSAGES // count * 12)]


async def _take_turns(ways: Mapping[str, Way], count: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for begin in range(0, count, EACH):
        for name, ask in ways.items():
            for number in range(begin, begin + EACH):
                started = time.perf_counter()
                await ask(number)
                seconds[name].append(time.perf_counter() - started)
    # the first turns warm up
    return {name: quantile(values[len(values) // 10 :], 0.5) for name, values in seconds.items()}


async def measure(service: Service) -> list[Figure]:
    """The table's lines."""
    seconds = await asyncio.to_thread(lambda: uvloop.run(measured(service)))
    bare = seconds.encoding + seconds.hybrid_rows
    return [
        Figure(
            f"dense search p50, {PASSAGES:,} passages: one statement",
            f"{seconds.statement * 1000:.2f} ms, {seconds.statement / seconds.rows:.2f} ×",
            f"rows only {seconds.rows * 1000:.2f} ms",
            "1.5 ×",
            seconds.statement <= 1.5 * seconds.rows,
        ),
        Figure(
            "the same over HTTP",
            f"{seconds.http * 1000:.2f} ms, {seconds.http / seconds.statement:.2f} ×",
            f"the statement {seconds.statement * 1000:.2f} ms",
            "2 × or + 0.4 ms",
            seconds.http <= max(2 * seconds.statement, seconds.statement + 0.0004),
        ),
        Figure(
            "hybrid search p50, text given, over HTTP",
            f"{seconds.hybrid_http * 1000:.2f} ms, {seconds.hybrid_http / bare:.2f} ×",
            f"encoder {seconds.encoding * 1000:.2f} ms + rows only {seconds.hybrid_rows * 1000:.2f} ms",
            "1.5 ×",
            seconds.hybrid_http <= 1.5 * bare,
        ),
    ]
