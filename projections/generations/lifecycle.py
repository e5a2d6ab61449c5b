"""The life of generations: made, live, previous, ended, dropped; and knowing which one is live.

The pointer moves in one statement that locks the pointer's row and those of what it ends: no reader waits for these.
"""

import asyncio
from collections.abc import Collection, Mapping

import asyncpg
import msgspec
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema

from projections.control.tables import READER, generations, projections, promotions
from projections.database import translated
from projections.generations.tables import schema_of
from projections.port import ReadModel
from schemas.errors import GenerationMissing, NenrinError

LOCK_WITHIN = 0.05
"""Seconds that a drop waits for a lock: readers of the generation that come meanwhile stand behind it for as long."""
DROP_WITHIN = 60.0
"""Seconds in which the last statements that read a generation should be over."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two tries of a drop; each pause is twice the one before."""

# What the pointer's row said before is asked for apart, for RETURNING tells it only since Postgres 18.
_PROMOTE = """
WITH before AS (SELECT live, previous FROM nenrin.projections WHERE name = $1),
moved AS (
    UPDATE nenrin.projections p SET live = $2, previous = p.live FROM before
    WHERE p.name = $1 AND p.live = $3 AND p.live <> $2
        AND p.live = before.live AND p.previous IS NOT DISTINCT FROM before.previous
        AND EXISTS (
            SELECT FROM nenrin.generations g
            WHERE g.projection = $1 AND g.generation = $2
                AND g.loaded_at IS NOT NULL AND g.ended_at IS NULL AND g.until IS NULL
        )
    RETURNING p.live, p.previous AS replaced, before.previous AS older
), ended AS (
    UPDATE nenrin.generations g SET ended_at = clock_timestamp() FROM moved
    WHERE g.projection = $1 AND g.generation = moved.older AND moved.older <> moved.live AND g.ended_at IS NULL
    RETURNING g.generation
), recorded AS (
    INSERT INTO nenrin.promotions (projection, generation, replaced, kind, decided_by, forced_because, report)
    SELECT $1, live, replaced, 'promote', $4, $5, $6::json FROM moved
)
SELECT live, replaced, (SELECT generation FROM ended) FROM moved
"""
_ROLL_BACK = """
WITH moved AS (
    UPDATE nenrin.projections p SET live = p.previous, previous = p.live
    WHERE p.name = $1 AND EXISTS (
        SELECT FROM nenrin.generations g
        WHERE g.projection = $1 AND g.generation = p.previous AND g.ended_at IS NULL
    )
    RETURNING live, previous AS replaced
), recorded AS (
    INSERT INTO nenrin.promotions (projection, generation, replaced, kind, decided_by, forced_because)
    SELECT $1, live, replaced, 'rollback', $2, $3 FROM moved
)
SELECT live, replaced, NULL::int FROM moved
"""
_POINTER = """
SELECT p.live, p.previous, g.generation, g.loaded_at, coalesce(g.ended_at::text, g.until) AS ended_at
FROM nenrin.projections p
LEFT JOIN nenrin.generations g ON g.projection = p.name AND g.generation = coalesce($2, p.previous)
WHERE p.name = $1
"""
_END = """
UPDATE nenrin.generations g SET ended_at = clock_timestamp() FROM nenrin.projections p
WHERE g.projection = $1 AND g.generation = $2 AND g.ended_at IS NULL AND p.name = $1 AND p.live <> $2
"""
_FORGET = """
WITH pointer AS (
    UPDATE nenrin.projections SET previous = NULL WHERE name = $1 AND previous = $2 AND live <> $2
), gone AS (
    DELETE FROM nenrin.generations g USING nenrin.projections p
    WHERE g.projection = $1 AND g.generation = $2 AND p.name = $1 AND p.live <> $2
    RETURNING g.generation
), aged AS (
    DELETE FROM nenrin.oldest o USING gone WHERE o.projection = $1 AND o.generation = $2
)
SELECT generation FROM gone
"""
_STANDS = "SELECT to_regnamespace($1) IS NOT NULL"
_NUMBERS = """
SELECT 1 + greatest(
    (SELECT max(generation) FROM nenrin.generations WHERE projection = :projection),
    (SELECT max(greatest(generation, replaced)) FROM nenrin.promotions WHERE projection = :projection),
    (SELECT max(substring(nspname FROM '_g([0-9]+)$')\\:\\:int) FROM pg_namespace
        WHERE nspname ~ ('^' || :projection || '_g[0-9]{1,9}$')),
    0
)
"""


class NotMoved(NenrinError):
    """The pointer of a projection stayed where it was, or a generation was left as it was; the message says why."""


class Decision(msgspec.Struct, frozen=True):
    """Who moves a pointer, and what is kept of the reasons.

    `because`: why gates were overruled, or why it goes back; `report`: what the gates found, as JSON.
    """

    by: str
    because: str | None = None
    report: str | None = None


class Moved(msgspec.Struct, frozen=True):
    """That the pointer of a projection moved. `ended` is the generation that no projector feeds any more, if any."""

    live: int
    replaced: int
    ended: int | None = None


class Live(msgspec.Struct, frozen=True):
    """The generation that a projection's pointer names."""

    projection: str
    generation: int
    encoder: str | None


class Build(msgspec.Struct, frozen=True):
    """What a new generation is made for: the source topic as it is now, and the encoder whose vectors it keeps.

    `begins` are the first offsets of those partitions that do not begin at 0.
    """

    topic: str
    partitions: int
    incarnation: str
    encoder: str | None = None
    dimensions: int | None = None
    begins: Mapping[int, int] = {}


async def create(connection: AsyncConnection, model: ReadModel, generation: int, build: Build) -> None:
    """Make an empty generation: its schema and tables, a position for every partition, and the reader's grants."""
    await lay_out(connection, model, generation, build)
    await connection.execute(
        insert(generations).values(
            projection=model.name,
            generation=generation,
            encoder=build.encoder,
            shape=model.shape,
            loaded_at=func.clock_timestamp(),
        )
    )
    await grant(connection, (schema_of(model.name, generation),))


async def lay_out(connection: AsyncConnection, model: ReadModel, generation: int, build: Build) -> None:
    """Make only the schema, its tables, and a position for every partition: nobody knows of it."""
    schema = schema_of(model.name, generation)
    metadata = model.define(schema, build.dimensions)
    await connection.execute(CreateSchema(schema))
    await connection.run_sync(metadata.create_all)
    await connection.execute(
        insert(metadata.tables[f"{schema}.positions"]),
        [
            {
                "topic": build.topic,
                "partition": partition,
                "next": build.begins.get(partition, 0),
                "read_next": 0,
                "incarnation": build.incarnation,
                "epoch": 0,
            }
            for partition in range(build.partitions)
        ],
    )


async def replace(connection: AsyncConnection, model: ReadModel, build: Build) -> int:
    """Make an empty generation and the pointer name it; returns its number. The one before is kept, as it ended.

    Until a projector has claimed it its lag is unknown, and its version says from then on how far it is.
    """
    named = projections.c.name == model.name
    locked = await connection.execute(select(projections.c.live).where(named).with_for_update())
    before = locked.scalar_one()
    number = await next_number(connection, model.name)
    await create(connection, model, number, build)
    await connection.execute(update(projections).where(named).values(live=number, previous=before))
    await connection.execute(
        update(generations)
        .where((generations.c.projection == model.name) & (generations.c.generation == before))
        .values(ended_at=func.clock_timestamp())
    )
    await connection.execute(
        insert(promotions).values(
            projection=model.name,
            generation=number,
            replaced=before,
            kind="reset",
            decided_by="nenrin projections reset",
        )
    )
    return number


async def next_number(connection: AsyncConnection, projection: str) -> int:
    """A number that no generation of the projection has, and that none ever had which was live."""
    found = await connection.execute(text(_NUMBERS), {"projection": projection})
    return int(found.scalar_one())


async def grant(connection: AsyncConnection, schemas: Collection[str]) -> None:
    """Let the reader's role select from everything in `schemas`, and do nothing else there."""
    for schema in schemas:
        await connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {READER}"))
        await connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER}"))


async def live(connection: AsyncConnection, projection: str) -> Live:
    """The generation that readers are sent to. Raises `GenerationMissing` when the projection isn't installed."""
    found = await connection.execute(
        select(projections.c.live, generations.c.encoder)
        .join(
            generations,
            (generations.c.projection == projections.c.name) & (generations.c.generation == projections.c.live),
        )
        .where(projections.c.name == projection)
    )
    row = found.first()
    if row is None:
        raise GenerationMissing(f"there is no projection {projection!r} here: run `nenrin init` first")
    return Live(projection, row.live, row.encoder)


async def promote(
    connection: asyncpg.Connection, projection: str, generation: int, over: int, decision: Decision
) -> Moved:
    """Make a generation live in place of `over`, which stays as the previous one; the one previous to that ends.

    Raises `NotMoved` when another one is live by now, or when the generation is not there, not loaded, or has ended;
    `DatabaseAway`.
    """
    with translated():
        decided = decision.by, decision.because, decision.report
        moved = await connection.fetchrow(_PROMOTE, projection, generation, over, *decided)
        if moved is None:
            raise NotMoved(await _why_not(connection, projection, generation, over))
    return Moved(*moved)


async def _why_not(connection: asyncpg.Connection, projection: str, generation: int, over: int) -> str:
    found = await connection.fetchrow(_POINTER, projection, generation)
    name = schema_of(projection, generation)
    if found is None:
        return f"there is no projection {projection!r} here: run `nenrin init` first"
    if found["live"] == generation:
        return f"generation {generation} of {projection} is live already"
    if found["generation"] is None:
        return f"{projection} has no generation {generation}: `nenrin projections list` shows those there are"
    if found["loaded_at"] is None:
        return f"{name} is not whole: `nenrin projections rebuild {projection}` goes on with it"
    if found["ended_at"] is not None:
        return f"{name} has ended: nothing keeps it up with the log; rebuild {projection} instead"
    return (
        f"generation {found['live']} of {projection} is live by now, and {generation} was held against {over}: "
        "`nenrin projections promote` does it again"
    )


async def rollback(connection: asyncpg.Connection, projection: str, decision: Decision) -> Moved:
    """Make the previous generation live again; the two change places, so that doing it again undoes it.

    Raises `NotMoved` where there is none, or it has ended; `DatabaseAway`.
    """
    with translated():
        moved = await connection.fetchrow(_ROLL_BACK, projection, decision.by, decision.because)
        if moved is None:
            found = await connection.fetchrow(_POINTER, projection, None)
            raise NotMoved(_no_way_back(projection, found))
    return Moved(*moved)


def _no_way_back(projection: str, found: asyncpg.Record | None) -> str:
    if found is None:
        return f"there is no projection {projection!r} here: run `nenrin init` first"
    if (previous := found["previous"]) is None:
        return f"{projection} has no previous generation to go back to"
    return (
        f"{schema_of(projection, previous)} has ended: nothing keeps it up with the log, so it is no way back; "
        f"`nenrin projections rebuild {projection}` makes one that is"
    )


async def end(connection: asyncpg.Connection, projection: str, generation: int) -> None:
    """Have projectors leave a generation for good; it can still be read by its number. Not the live one."""
    with translated():
        await connection.execute(_END, projection, generation)


async def forget(connection: asyncpg.Connection, projection: str, generation: int) -> bool:
    """Take a generation that is not live off the list, so that nobody is sent there. False: it was not on it."""
    with translated():
        return await connection.fetchval(_FORGET, projection, generation) is not None


async def drop(connection: asyncpg.Connection, projection: str, generation: int, within: float = DROP_WITHIN) -> bool:
    """Drop the tables of a generation that is off the list, without ever letting readers queue up behind it.

    Waits for statements that still read it, `within` so many seconds. Returns whether there were any tables. Raises
    `NotMoved` when it is still read by then: it can be tried again; `DatabaseAway`.
    """
    schema = schema_of(projection, generation)
    with translated():
        if not await connection.fetchval(_STANDS, schema):
            return False
        pause, until = FIRST_PAUSE, asyncio.get_running_loop().time() + within
        while not await _dropped(connection, schema):
            if asyncio.get_running_loop().time() > until:
                raise NotMoved(
                    f"{schema} is off the list, but statements still read it after {within:g} s: "
                    f"`nenrin projections retire {projection} {generation}` drops it once they are over"
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    return True


async def _dropped(connection: asyncpg.Connection, schema: str) -> bool:
    """Try once. A lock is waited for only so long that nobody who comes to stand behind it notices."""
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_WITHIN * 1000)}")
            await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    return True
