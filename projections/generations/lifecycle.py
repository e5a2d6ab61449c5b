"""Making generations, and knowing which one is live."""

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateSchema

from projections.control.tables import READER, generations, projections
from projections.generations.tables import schema_of
from projections.port import ReadModel
from schemas.errors import GenerationMissing


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
    await connection.execute(
        insert(generations).values(
            projection=model.name,
            generation=generation,
            encoder=build.encoder,
            shape=model.shape,
            loaded_at=func.clock_timestamp(),
        )
    )
    await grant(connection, (schema,))


async def replace(connection: AsyncConnection, model: ReadModel, build: Build) -> int:
    """Make an empty generation and the pointer name it; returns its number. The one before is kept, as it ended.

    Until a projector has claimed it its lag is unknown, and its version says from then on how far it is.
    """
    named = projections.c.name == model.name
    locked = await connection.execute(select(projections.c.live).where(named).with_for_update())
    before = locked.scalar_one()
    numbers = select(func.max(generations.c.generation)).where(generations.c.projection == model.name)
    number = int((await connection.execute(numbers)).scalar_one()) + 1
    await create(connection, model, number, build)
    await connection.execute(update(projections).where(named).values(live=number, previous=before))
    await connection.execute(
        update(generations)
        .where((generations.c.projection == model.name) & (generations.c.generation == before))
        .values(ended_at=func.clock_timestamp())
    )
    return number


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
