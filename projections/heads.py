"""What the heads probe keeps: how far the log reaches, and how old the first event is that a projection still lacks.

Both are written in one transaction, so that a reader never pairs a new head with an old age.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg
import msgspec

from projections.database import translated
from projections.generations.tables import schema_of

_GENERATIONS = "SELECT projection, generation FROM nenrin.generations ORDER BY projection, generation"
_POSITIONS = "SELECT topic, partition, next, incarnation FROM {schema}.positions"
_HEADS = """
INSERT INTO nenrin.heads AS h (topic, partition, head, incarnation, observed_at)
SELECT topic, partition, head, incarnation, clock_timestamp()
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[]) AS seen(topic, partition, head, incarnation)
ON CONFLICT (topic, partition) DO UPDATE
SET head = excluded.head, incarnation = excluded.incarnation, observed_at = excluded.observed_at
"""
_OLDEST = """
INSERT INTO nenrin.oldest AS o (projection, generation, topic, partition, position, produced_at)
SELECT projection, generation, topic, partition, position, coalesce(produced_at, clock_timestamp())
FROM unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::bigint[], $6::timestamptz[])
    AS seen(projection, generation, topic, partition, position, produced_at)
ON CONFLICT (projection, generation, topic, partition) DO UPDATE SET
    position = excluded.position,
    -- behind markers alone there is no record to date: the time at which they were first seen is kept
    produced_at = CASE WHEN o.position = excluded.position THEN least(o.produced_at, excluded.produced_at)
        ELSE excluded.produced_at END
"""


class Tracked(msgspec.Struct, frozen=True):
    """Where a generation stands in one partition of its source."""

    projection: str
    generation: int
    topic: str
    partition: int
    next: int
    incarnation: str


class Oldest(msgspec.Struct, frozen=True):
    """The first record at or after a position. `produced_at`: the broker's time in ms, None behind markers alone."""

    position: int
    produced_at: int | None


async def positions(connection: asyncpg.Connection) -> list[Tracked]:
    """Every partition of every generation. Raises `DatabaseAway`; a database without Nenrin: `GenerationMissing`."""
    with translated():
        generations = await connection.fetch(_GENERATIONS)
        return [
            Tracked(projection, generation, row["topic"], row["partition"], row["next"], row["incarnation"])
            for projection, generation in generations
            for row in await connection.fetch(_POSITIONS.format(schema=schema_of(projection, generation)))
        ]


async def observe(
    connection: asyncpg.Connection,
    heads: Mapping[tuple[str, int], int],
    incarnations: Mapping[str, str],
    oldest: Mapping[tuple[str, int, str, int], Oldest],
) -> None:
    """Record one look at the log: high watermarks by (topic, partition), and by (projection, generation, topic,
    partition) the oldest unapplied record. Both or neither. Raises `DatabaseAway`.
    """
    with translated():
        async with connection.transaction():
            await connection.execute(
                _HEADS,
                [topic for topic, _ in heads],
                [partition for _, partition in heads],
                list(heads.values()),
                [incarnations[topic] for topic, _ in heads],
            )
            if oldest:
                await _observe_oldest(connection, oldest)


async def _observe_oldest(connection: asyncpg.Connection, oldest: Mapping[tuple[str, int, str, int], Oldest]) -> None:
    columns = list(zip(*oldest, strict=True))
    await connection.execute(
        _OLDEST,
        *[list(column) for column in columns],
        [seen.position for seen in oldest.values()],
        [_time(seen.produced_at) for seen in oldest.values()],
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
