"""Making generations, and knowing which one is live."""

from collections.abc import Collection

import msgspec
from sqlalchemy import insert, select, text
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
    """What a new generation is made for: the source topic as it is now, and the encoder whose vectors it keeps."""

    topic: str
    partitions: int
    incarnation: str
    encoder: str | None = None
    dimensions: int | None = None


async def create(connection: AsyncConnection, model: ReadModel, generation: int, build: Build) -> None:
    """Make an empty generation: its schema and tables, a position at 0 for every partition, and the reader's grants."""
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
                "next": 0,
                "read_next": 0,
                "incarnation": build.incarnation,
                "epoch": 0,
            }
            for partition in range(build.partitions)
        ],
    )
    await connection.execute(
        insert(generations).values(projection=model.name, generation=generation, encoder=build.encoder)
    )
    await grant(connection, (schema,))


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
