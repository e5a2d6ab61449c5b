"""The nearest neighbours of a vector in one generation: exactly, and as its index finds them."""

import random

import asyncpg
import msgspec

from projections.database import translated
from projections.generations.comparing import Side
from projections.passages.dense import CANDIDATES

_COUNT = "SELECT coalesce(sum(passages), 0)::bigint FROM {schema}.digests"
_SAMPLE = """
SELECT collection, document_id, ordinal, start, vector
FROM {schema}.passages TABLESAMPLE BERNOULLI ($1::real) REPEATABLE (1)
"""
_AT = """
SELECT vector FROM {schema}.passages
WHERE collection = $1 AND document_id = $2 AND start <= $3 ORDER BY collection, document_id, ordinal DESC LIMIT 1
"""
# an ordering by the bare distance would be the index's
_EXACT = """
SELECT document_id, ordinal, (vector <=> $2) + 0 AS distance FROM {schema}.passages
WHERE collection = $1 AND (document_id, ordinal) <> ($3, $4) ORDER BY distance LIMIT $5
"""
_BY_INDEX = """
SELECT document_id, ordinal, vector <=> $2 AS distance FROM {schema}.passages
WHERE collection = $1 ORDER BY vector <=> $2 LIMIT $3
"""
_DOCUMENTS = """
SELECT collection, document_id FROM {schema}.passages
WHERE ($1::text IS NULL OR collection = $1) AND ($3::text IS NULL OR document_id <> $3)
GROUP BY collection, document_id ORDER BY min(vector <=> $2), collection, document_id LIMIT $4
"""
_SPARE = 2
"""A sample of a table's blocks is never as large as it was to be; more are taken, and some of them left."""
_TIE = 1e-6
"""Cosine distances that are not told apart: of float16, summed in another order."""


class Sampled(msgspec.Struct, frozen=True):
    """A passage, and its vector as little-endian float16 bytes."""

    collection: str
    document_id: str
    ordinal: int
    start: int
    vector: bytes


async def search_as_readers_do(connection: asyncpg.Connection) -> None:
    """Have the index scanned as the query service has it."""
    with translated():
        await connection.execute("SET hnsw.iterative_scan = 'relaxed_order'")


async def sample(side: Side, count: int) -> list[Sampled]:
    """Passages drawn by chance, the same ones each time while nothing changes. Raises `DatabaseAway`."""
    with translated():
        there: int = await side.connection.fetchval(_COUNT.format(schema=side.schema))
        percent = min(100.0, 100.0 * _SPARE * count / max(there, 1))
        rows = await side.connection.fetch(_SAMPLE.format(schema=side.schema), percent)
    found = [Sampled(*row) for row in rows]
    return found if len(found) <= count else random.Random(0).sample(found, count)


async def vector_at(side: Side, of: Sampled) -> bytes | None:
    """The vector of the passage in which another generation's begins; None where its document has none."""
    with translated():
        found: bytes | None = await side.connection.fetchval(
            _AT.format(schema=side.schema), of.collection, of.document_id, of.start
        )
    return found


async def documents(
    side: Side, vector: bytes, count: int, collection: str | None = None, without: str | None = None
) -> set[tuple[str, str]]:
    """The documents with the nearest passages, by a scan of all; `without` one of them. Raises `DatabaseAway`."""
    with translated():
        rows = await side.connection.fetch(_DOCUMENTS.format(schema=side.schema), collection, vector, without, count)
    return {(row[0], row[1]) for row in rows}


async def recall(side: Side, of: Sampled, count: int) -> float | None:
    """The share of the `count` passages nearest to one that a search by the index finds; None where there are none."""
    names = {"schema": side.schema}
    with translated():
        exact = await side.connection.fetch(
            _EXACT.format(**names), of.collection, of.vector, of.document_id, of.ordinal, count
        )
        asked = max(CANDIDATES, 2 * count)
        near = await side.connection.fetch(_BY_INDEX.format(**names), of.collection, of.vector, asked)
    if not exact:
        return None
    limit = exact[-1]["distance"] + _TIE
    itself = (of.document_id, of.ordinal)
    found = [row for row in near if (row["document_id"], row["ordinal"]) != itself and row["distance"] <= limit]
    return min(len(found), len(exact)) / len(exact)
