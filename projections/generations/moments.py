"""A moment of a generation: what one snapshot shows of it, for as long as that is held."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from projections.database import connect, translated
from projections.generations.comparing import Side
from projections.generations.tables import UNRESOLVED, schema_of
from schemas.versions import Version

# A reader of rows in the order of their keys takes them from the index as they come: sorting would write them to disk.
_BEGIN = """
SET client_connection_check_interval = 1000;
SET idle_in_transaction_session_timeout = 0;
SET statement_timeout = 0;
SET TimeZone = 'UTC';
SET enable_sort = off;
SET jit = off;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
"""
_POSITIONS = "SELECT topic, partition, next, incarnation FROM {schema}.positions ORDER BY topic, partition"
_PARKED = f'SELECT topic, partition, "offset" FROM {{schema}}.parked WHERE {UNRESOLVED} ORDER BY 1, 2, 3'

Place = tuple[str, int, int]
"""Topic, partition, offset."""


class Standing(msgspec.Struct, frozen=True):
    """Where a generation stands: the next source offset to apply, by partition, of one incarnation of one topic."""

    topic: str
    incarnation: str
    next: Mapping[int, int]

    @property
    def version(self) -> Version:
        """The version that these positions make."""
        return Version({self.topic: dict(self.next)}, {self.topic: self.incarnation})

    def behind(self, other: "Standing") -> dict[int, int]:
        """How many offsets of each partition this one lacks of another."""
        short = {partition: at - self.next.get(partition, 0) for partition, at in other.next.items()}
        return {partition: lacking for partition, lacking in short.items() if lacking > 0}


class Moment(msgspec.Struct, frozen=True):
    """A generation as one snapshot shows it, and where it stands there."""

    side: Side
    standing: Standing


async def standing(connection: asyncpg.Connection, schema: str) -> Standing:
    """Where a generation stands now. Raises `GenerationMissing`, `DatabaseAway`."""
    with translated():
        rows = await connection.fetch(_POSITIONS.format(schema=schema))
    first = rows[0]  # no topic has no partition
    return Standing(first["topic"], first["incarnation"], {row["partition"]: row["next"] for row in rows})


@asynccontextmanager
async def moment(dsn: str, projection: str, generation: int, application: str) -> AsyncIterator[Moment]:
    """Look at a generation, and keep what is seen as long as the context lasts. Raises what `standing` does."""
    connection = await connect(dsn, application=application)
    try:
        with translated():
            await connection.execute(_BEGIN)
        schema = schema_of(projection, generation)
        yield Moment(Side(connection, schema), await standing(connection, schema))
    finally:
        connection.terminate()


async def unresolved(side: Side) -> set[Place]:
    """The parked events that nothing has resolved. Raises `DatabaseAway`."""
    with translated():
        return {tuple(row) for row in await side.connection.fetch(_PARKED.format(schema=side.schema))}
