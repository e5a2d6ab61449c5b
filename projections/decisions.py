"""What operators decide about parked events: retried, or skipped by whom and why.

A decision is kept by what the log knows an event by, so that it holds for every build of the projection.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import asyncpg
import msgspec

from projections.database import translated
from projections.generations.tables import schema_of
from projections.parking_lot import LOCK

_LIVE = "SELECT live FROM nenrin.projections WHERE name = $1"
_GENERATIONS = "SELECT generation FROM nenrin.generations WHERE projection = $1 ORDER BY generation"
_THERE = "SELECT to_regclass($1) IS NOT NULL"
_ALONE = "SELECT pg_try_advisory_lock(hashtextextended('nenrin.parked.retry', 0))"
_FIND = """
SELECT $1 AS projection, p.topic, o.incarnation, p.partition, p."offset", coalesce(p.rank, p."offset") AS rank,
    p.key, p.reason, p.resolved_by, p.skipped_at, d.skipped_by, d.skipped_because,
    d.retried_at, d.retried_into, d.retried_since, d.retried_as
FROM {schema}.parked p JOIN {schema}.positions o ON o.topic = p.topic AND o.partition = p.partition
    LEFT JOIN nenrin.decisions d ON d.projection = $1 AND d.topic = p.topic AND d.incarnation = o.incarnation
        AND d.partition = p.partition AND d."offset" = p."offset"
WHERE p.resolved_by IS NULL AND p.skipped_at IS NULL
    OR (p.topic, p.partition, p."offset") IN (SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[]))
ORDER BY p.topic, p.partition, rank, p."offset"
"""
_PLACES = 'unnest($2::text[], $3::text[], $4::int[], $5::bigint[]) AS e(topic, incarnation, partition, "offset")'
_DECIDE = f"""
INSERT INTO nenrin.decisions AS d
    (projection, topic, incarnation, partition, "offset", skipped_at, skipped_by, skipped_because)
SELECT $1, e.*, clock_timestamp(), $6, $7 FROM {_PLACES}
ON CONFLICT (projection, topic, incarnation, partition, "offset") DO UPDATE SET
    skipped_at = excluded.skipped_at, skipped_by = excluded.skipped_by, skipped_because = excluded.skipped_because
"""
_RESOLVE = f"""
UPDATE {{schema}}.parked p SET skipped_at = d.skipped_at
FROM {_PLACES} JOIN nenrin.decisions d USING (topic, incarnation, partition, "offset")
    JOIN {{schema}}.positions o USING (topic, incarnation, partition)
WHERE d.projection = $1 AND p.topic = e.topic AND p.partition = e.partition AND p."offset" = e."offset"
    AND p.resolved_by IS NULL AND p.skipped_at IS NULL
"""
_INTEND = f"""
INSERT INTO nenrin.decisions AS d
    (projection, topic, incarnation, partition, "offset", retried_at, retried_by, retried_into, retried_since)
SELECT $1, e.*, clock_timestamp(), $6, $7, $8 FROM {_PLACES}
ON CONFLICT (projection, topic, incarnation, partition, "offset") DO UPDATE SET
    retried_at = excluded.retried_at, retried_by = excluded.retried_by, retried_into = excluded.retried_into,
    retried_since = excluded.retried_since, retried_as = NULL
"""
_APPENDED = f"""
UPDATE nenrin.decisions d SET retried_as = $6 FROM {_PLACES}
WHERE d.projection = $1 AND d.topic = e.topic AND d.incarnation = e.incarnation AND d.partition = e.partition
    AND d."offset" = e."offset"
"""


class Parked(msgspec.Struct, frozen=True):
    """An event as one projection has parked it, and what was decided about it.

    `rank`: its turn among those of its key. `retried_into`, `retried_since`, `retried_as`: the partition of its copy,
    where that ended before, and the offset of the copy, None while nobody knows it.
    """

    projection: str
    topic: str
    incarnation: str
    partition: int
    offset: int
    rank: int
    key: bytes | None
    reason: str
    resolved_by: int | None = None
    skipped_at: datetime | None = None
    skipped_by: str | None = None
    skipped_because: str | None = None
    retried_at: datetime | None = None
    retried_into: int | None = None
    retried_since: int | None = None
    retried_as: int | None = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition, offset."""
        return self.topic, self.partition, self.offset


async def find(
    connection: asyncpg.Connection, projection: str, places: Collection[tuple[str, int, int]] = ()
) -> list[Parked]:
    """What the live generation has parked and nothing resolved, in order, and whatever it has parked at `places`.

    Raises `GenerationMissing`, `DatabaseAway`.
    """
    with translated():
        generation = await connection.fetchval(_LIVE, projection)
        if generation is None:
            return []
        sql = _FIND.format(schema=schema_of(projection, generation))
        rows = await connection.fetch(sql, projection, *_columns(places, 3))
    return [Parked(**row) for row in rows]


async def skip(connection: asyncpg.Connection, events: Sequence[Parked], by: str, why: str) -> None:
    """Give events of one projection up, in all of its generations, on record. Raises `DatabaseAway`."""
    projection = events[0].projection
    places = [(event.topic, event.incarnation, event.partition, event.offset) for event in events]
    with translated():
        async with connection.transaction():
            schemas = await _schemas(connection, projection)
            for schema in schemas:
                await connection.execute(LOCK, schema)
            await connection.execute(_DECIDE, projection, *_columns(places, 4), by, why)
            for schema in schemas:
                await connection.execute(_RESOLVE.format(schema=schema), projection, *_columns(places, 4))


async def _schemas(connection: asyncpg.Connection, projection: str) -> list[str]:
    """The generations' that there are."""
    known = [schema_of(projection, row[0]) for row in await connection.fetch(_GENERATIONS, projection)]
    return [schema for schema in known if await connection.fetchval(_THERE, f"{schema}.parked")]


async def alone(connection: asyncpg.Connection) -> bool:
    """Whether nobody else retries now; as long as this connection lives, nobody else can."""
    with translated():
        free: bool = await connection.fetchval(_ALONE)
    return free


async def intend(connection: asyncpg.Connection, events: Sequence[Parked], by: str, into: int, since: int) -> None:
    """Say that a copy of one event, parked by these, is about to be appended to `into`, which ends at `since`."""
    with translated():
        async with connection.transaction():
            for event in events:
                await connection.execute(_INTEND, event.projection, *_place(event), by, into, since)


async def appended(connection: asyncpg.Connection, events: Sequence[Parked], offset: int) -> None:
    """Say where the copy of one event, parked by these, came to lie."""
    with translated():
        async with connection.transaction():
            for event in events:
                await connection.execute(_APPENDED, event.projection, *_place(event), offset)


def _place(event: Parked) -> list[list[object]]:
    return _columns([(event.topic, event.incarnation, event.partition, event.offset)], 4)


def _columns(rows: Collection[tuple[object, ...]], count: int) -> list[list[object]]:
    return [[row[number] for row in rows] for number in range(count)]
