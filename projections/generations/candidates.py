"""Generations that are not live: what a rebuild finds when it begins, and goes on with or drops."""

import asyncpg
import msgspec

from projections.database import translated
from projections.generations.tables import schema_of

_CANDIDATES = """
SELECT g.generation, g.shape, g.encoder, g.until, g.loaded_at IS NOT NULL AS loaded, g.ended_at IS NOT NULL AS ended,
    (SELECT substring(pg_get_expr(d.adbin, d.adrelid) FROM '''(\\w+)''::regconfig')
        FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        WHERE d.adrelid = to_regclass(format('%I.passages', g.projection || '_g' || g.generation))
            AND a.attname = 'lexemes') AS language,
    to_regclass(format('%I.positions', g.projection || '_g' || g.generation)) IS NOT NULL AS stands
FROM nenrin.generations g LEFT JOIN nenrin.projections p ON p.name = g.projection
WHERE g.projection = $1 AND g.generation IS DISTINCT FROM p.live AND g.generation IS DISTINCT FROM p.previous
ORDER BY g.generation
"""
_SOURCE = "SELECT count(*) AS partitions, min(incarnation) AS incarnation FROM {schema}.positions"
_POINTER = "SELECT live FROM nenrin.projections WHERE name = $1"
_FIRST = "INSERT INTO nenrin.projections (name, live) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
_END = "UPDATE nenrin.generations SET ended_at = clock_timestamp() WHERE projection = $1 AND generation = $2"
_FORGET = "DELETE FROM nenrin.generations WHERE projection = $1 AND generation = $2 AND loaded_at IS NULL"
_AGED = "DELETE FROM nenrin.oldest WHERE projection = $1 AND generation = $2"
_HOLDS = """
SELECT (SELECT json_object_agg(partition, next) FROM {schema}.positions) AS positions,
    (SELECT coalesce(sum(documents), 0)::bigint FROM {schema}.digests) AS documents,
    (SELECT coalesce(sum(passages), 0)::bigint FROM {schema}.digests) AS passages
"""
_ENCODER = "SELECT encoder FROM nenrin.generations WHERE projection = $1 AND generation = $2"


class Kind(msgspec.Struct, frozen=True):
    """What a generation is built for. Two of one kind hold the same at the same version, however they were built."""

    shape: int
    encoder: str | None
    language: str | None
    until: str | None
    incarnation: str
    partitions: int


class Candidate(msgspec.Struct, frozen=True):
    """A generation that is neither live nor previous. `loaded`: its rows are there, and it follows if it hasn't ended.

    `kind` is None where its tables are gone.
    """

    projection: str
    generation: int
    kind: Kind | None
    loaded: bool
    ended: bool

    @property
    def schema(self) -> str:
        """Its schema in Postgres."""
        return schema_of(self.projection, self.generation)


async def candidates(connection: asyncpg.Connection, projection: str) -> list[Candidate]:
    """The generations of a projection that are neither live nor previous, by number. Raises `DatabaseAway`."""
    with translated():
        rows = await connection.fetch(_CANDIDATES, projection)
        return [
            Candidate(
                projection, row["generation"], await _kind(connection, projection, row), row["loaded"], row["ended"]
            )
            for row in rows
        ]


async def _kind(connection: asyncpg.Connection, projection: str, row: asyncpg.Record) -> Kind | None:
    if not row["stands"]:
        return None
    source = await connection.fetchrow(_SOURCE.format(schema=schema_of(projection, row["generation"])))
    return Kind(
        row["shape"], row["encoder"], row["language"], row["until"], source["incarnation"], source["partitions"]
    )


async def is_installed(connection: asyncpg.Connection) -> bool:
    """Whether there is a control schema at all. Raises `DatabaseAway`."""
    with translated():
        there: bool = await connection.fetchval("SELECT to_regclass('nenrin.generations') IS NOT NULL")
    return there


async def live_number(connection: asyncpg.Connection, projection: str) -> int | None:
    """The number of the live generation; None where there is none yet. Raises `DatabaseAway`."""
    with translated():
        number: int | None = await connection.fetchval(_POINTER, projection)
    return number


async def encoder_of(connection: asyncpg.Connection, projection: str, generation: int) -> str | None:
    """Whose vectors a generation keeps. Raises `DatabaseAway`."""
    with translated():
        name: str | None = await connection.fetchval(_ENCODER, projection, generation)
    return name


async def point_first(connection: asyncpg.Connection, projection: str, generation: int) -> None:
    """Make a generation live where none ever was. Raises `DatabaseAway`."""
    with translated():
        await connection.execute(_FIRST, projection, generation)


async def end(connection: asyncpg.Connection, projection: str, generation: int) -> None:
    """Have a generation that is not loaded yet be one of the past: no projector will ever feed it."""
    with translated():
        await connection.execute(_END, projection, generation)


async def discard(connection: asyncpg.Connection, candidate: Candidate) -> None:
    """Drop a generation that was never whole, so that nobody can have read it. Raises `DatabaseAway`."""
    with translated():
        async with connection.transaction():
            await connection.execute(_FORGET, candidate.projection, candidate.generation)
            await connection.execute(_AGED, candidate.projection, candidate.generation)
            await connection.execute(f"DROP SCHEMA IF EXISTS {candidate.schema} CASCADE")


class Content(msgspec.Struct, frozen=True):
    """What a generation holds, by its own count, and up to where: the next source offset of each partition."""

    positions: dict[int, int]
    documents: int
    passages: int


async def content(connection: asyncpg.Connection, projection: str, generation: int) -> Content:
    """Count a generation. Raises `GenerationMissing`, `DatabaseAway`."""
    with translated():
        row = await connection.fetchrow(_HOLDS.format(schema=schema_of(projection, generation)))
    positions = msgspec.json.decode(row["positions"], type=dict[int, int])
    return Content(positions, row["documents"], row["passages"])
