"""What the heads probe keeps: how far the log reaches, and how old the first event is that a projection still lacks.

Both are written in one statement, so that a reader never pairs a new head with an old age. What a probe saw before
another one looked, it does not write over what that one saw: it may have been frozen in between.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg
import msgspec

from projections.database import connect, translated
from projections.generations.tables import schema_of

LOCK_WITHIN = 0.05
"""Seconds that a look waits for a generation's positions: one that is being dropped is locked, and not worth more."""

# What a crash takes with it is observed again, while a rebuild can keep the disk busy for long.
_HURRIED = "SET synchronous_commit = off"
_PATIENCE = "SET lock_timeout = {milliseconds:.0f}"
_NOW = "SELECT clock_timestamp()"
_GENERATIONS = """
SELECT projection, generation FROM nenrin.generations
WHERE loaded_at IS NOT NULL AND ended_at IS NULL AND until IS NULL ORDER BY projection, generation
"""
_BEING_DROPPED = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.LockNotAvailableError)
_POSITIONS = """
SELECT p.topic, p.partition, p.next, p.incarnation,
    CASE WHEN h.head > p.next AND o.position <= p.next THEN floor(1000 * extract(epoch FROM o.produced_at))::bigint END
        AS older,
    CASE WHEN h.head <= p.next THEN floor(1000 * extract(epoch FROM h.observed_at))::bigint END AS unwritten
FROM {schema}.positions p
LEFT JOIN nenrin.heads h ON h.topic = p.topic AND h.partition = p.partition AND h.incarnation = p.incarnation
LEFT JOIN nenrin.oldest o
    ON o.projection = $1 AND o.generation = $2 AND o.topic = p.topic AND o.partition = p.partition
"""
# An observation from the future is one of a clock that was set back since: it would never be replaced.
_OBSERVE = """
WITH kept AS (
    INSERT INTO nenrin.heads AS h (topic, partition, head, incarnation, observed_at)
    SELECT topic, partition, head, incarnation, $1
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[]) AS seen(topic, partition, head, incarnation)
    ORDER BY topic, partition
    ON CONFLICT (topic, partition) DO UPDATE
    SET head = excluded.head, incarnation = excluded.incarnation, observed_at = excluded.observed_at
    WHERE h.observed_at < excluded.observed_at OR h.observed_at > clock_timestamp()
    RETURNING topic, partition
)
INSERT INTO nenrin.oldest (projection, generation, topic, partition, position, produced_at)
SELECT projection, generation, topic, partition, position, produced_at
FROM unnest($6::text[], $7::int[], $8::text[], $9::int[], $10::bigint[], $11::timestamptz[])
    AS seen(projection, generation, topic, partition, position, produced_at)
JOIN kept USING (topic, partition)
ON CONFLICT (projection, generation, topic, partition) DO UPDATE
SET position = excluded.position, produced_at = excluded.produced_at
"""


class Tracked(msgspec.Struct, frozen=True):
    """Where a generation stands in one partition of its source, and what earlier looks say of the records from there.

    They were written after `older`, the time of an earlier record of the same lag, and after `unwritten`, a time at
    which the log did not reach beyond the position. Milliseconds since 1970; None where there is no such time.
    """

    projection: str
    generation: int
    topic: str
    partition: int
    next: int
    incarnation: str
    older: int | None = None
    unwritten: int | None = None


class Oldest(msgspec.Struct, frozen=True):
    """No record at or after `position` was written before `produced_at`, in milliseconds since 1970.

    Where there is a record, it is the broker's time of the first one. A position beyond the head that was seen with it
    says that the log has lost its end.
    """

    position: int
    produced_at: int


async def observer(dsn: str) -> asyncpg.Connection:
    """A connection to observe on. Raises `DatabaseAway`."""
    connection = await connect(dsn, application="nenrin-heads")
    with translated():
        await connection.execute(_HURRIED)
    return connection


async def now(connection: asyncpg.Connection) -> datetime:
    """The time by the database's clock. Raises `DatabaseAway`."""
    with translated():
        time: datetime = await connection.fetchval(_NOW)
        return time


async def positions(connection: asyncpg.Connection) -> list[Tracked]:
    """Every partition of every generation that is kept up with the log, or should be.

    One that is loaded in bulk is nobody's to read yet, and one that has ended lags for ever. Raises `DatabaseAway`; a
    database without Nenrin: `GenerationMissing`.
    """
    with translated():
        generations = await connection.fetch(_GENERATIONS)
        await connection.execute(_PATIENCE.format(milliseconds=LOCK_WITHIN * 1000))
        found = [one for each in generations for one in await _positions(connection, *each)]
        await connection.execute(_PATIENCE.format(milliseconds=0))
        return found


async def _positions(connection: asyncpg.Connection, projection: str, generation: int) -> list[Tracked]:
    """Those of one generation; none where it is being dropped, or was since the list was made."""
    statement = _POSITIONS.format(schema=schema_of(projection, generation))
    try:
        rows = await connection.fetch(statement, projection, generation)
    except _BEING_DROPPED:
        return []
    return [Tracked(projection, generation, *row) for row in rows]


async def observe(
    connection: asyncpg.Connection,
    observed_at: datetime,
    heads: Mapping[tuple[str, int], int],
    incarnations: Mapping[str, str],
    oldest: Mapping[tuple[str, int, str, int], Oldest],
) -> None:
    """Record one look at the log: high watermarks by (topic, partition), and by (projection, generation, topic,
    partition) the oldest unapplied record. `observed_at`: the database's time before the heads were asked for.

    A partition that was observed later than that keeps what it has. Raises `DatabaseAway`.
    """
    ages = list(zip(*oldest, strict=True)) or [()] * 4
    with translated():
        await connection.execute(
            _OBSERVE,
            observed_at,
            [topic for topic, _ in heads],
            [partition for _, partition in heads],
            list(heads.values()),
            [incarnations[topic] for topic, _ in heads],
            *ages,
            [seen.position for seen in oldest.values()],
            [datetime.fromtimestamp(seen.produced_at / 1000, UTC) for seen in oldest.values()],
        )
