"""A scratch generation: a replay that nobody reads, to hold another one against. At most one a projection.

Its number is 0, and it is not on the list of generations: readers, projectors and the probe don't know of it.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import DropIndex

from projections.generations.lifecycle import Build, lay_out
from projections.generations.tables import schema_of
from projections.port import ReadModel

SCRATCH = 0


async def make(connection: AsyncConnection, model: ReadModel, build: Build) -> None:
    """Make it, empty: with the keys that a writer needs, and no other index; a crash of Postgres may empty it."""
    await lay_out(connection, model, SCRATCH, build)
    schema = schema_of(model.name, SCRATCH)
    metadata = model.define(schema, build.dimensions)
    for name in model.tables:
        table = metadata.tables[f"{schema}.{name}"]
        await connection.execute(text(f"ALTER TABLE {table.fullname} SET UNLOGGED"))
        for index in table.indexes:
            await connection.execute(DropIndex(index))
