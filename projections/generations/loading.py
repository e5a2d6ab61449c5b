"""A generation while its rows are loaded in bulk, from its making to the moment when projectors may take it on.

1. Rows (`Stage.ROWS`): its row tables are unlogged and have no indexes. The loader's positions stand in an unlogged
   table `loading`, and move in the transactions that write rows and park events. The generation's own positions stay
   where the log begins, and its digests are empty: nothing that readers ask for waits for a load.
2. One transaction (`Loading.finish`) makes the rows durable, computes the digests from them, and moves the positions.
3. Indexes (`Stage.INDEXES`), each in a transaction, then what the planner wants to know.
4. `Stage.LOADED`: the generation can be read, and projectors follow it once nobody holds it.

Whatever ends a loader in between, the next one finds in the database where to go on. A crash of Postgres empties
unlogged tables, `loading` with the rows: then it begins anew.
"""

from enum import StrEnum

import asyncpg
import msgspec
from sqlalchemy import Dialect, Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import AddConstraint, CreateIndex, DropIndex, ExecutableDDLElement

from projections.database import translated
from projections.generations import lifecycle
from projections.generations.lifecycle import Build
from projections.generations.tables import row_tables, schema_of
from projections.port import ReadModel
from projections.positions import Position
from schemas.errors import Fenced, GenerationMissing

INDEX_MEMORY = "512MB"
"""`maintenance_work_mem` while indexes are built: what does not fit of an HNSW graph is inserted one by one."""

_TABLE = """
CREATE UNLOGGED TABLE {schema}.loading (
    partition int PRIMARY KEY, next bigint NOT NULL, read_next bigint NOT NULL, events bigint NOT NULL DEFAULT 0
)
"""
_BEGIN = "INSERT INTO {schema}.loading SELECT partition, next, read_next FROM {schema}.positions"
_UNLOADED = """
UPDATE nenrin.generations SET loaded_at = NULL, until = :until WHERE projection = :projection AND generation = :number
"""
_STAGE = """
SELECT loaded_at IS NOT NULL, to_regclass($3) IS NOT NULL
FROM nenrin.generations WHERE projection = $1 AND generation = $2
"""
_MOVE = """
UPDATE {schema}.loading SET next = $2, read_next = $3, events = events + $4
WHERE partition = $1 AND next = $5 AND read_next = $6
"""
_DIGEST = """
INSERT INTO {schema}.digests (partition, collection, documents, passages, content, vectors)
SELECT partition, collection, count(*), sum(passages),
    mod(mod(sum(content), 18446744073709551616) + 18446744073709551616, 18446744073709551616),
    mod(mod(sum(vectors), 18446744073709551616) + 18446744073709551616, 18446744073709551616)
FROM (SELECT partition, collection, {tallied} FROM {schema}.{table})
    AS r (partition, collection, passages, content, vectors)
GROUP BY partition, collection
"""
_ARRIVE = """
UPDATE {schema}.positions p SET next = l.next, read_next = l.read_next, committed_at = clock_timestamp()
FROM {schema}.loading l WHERE l.partition = p.partition
"""
_HAS_KEY = "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = $1::text::regclass AND indisprimary)"
_LOADED = "UPDATE nenrin.generations SET loaded_at = clock_timestamp() WHERE projection = $1 AND generation = $2"

_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


class Stage(StrEnum):
    """How far a generation is on its way to be read."""

    ROWS = "rows"
    INDEXES = "indexes"
    LOADED = "loaded"


class Standing(msgspec.Struct, frozen=True):
    """Where loading goes on, and where it began, in each partition; how many records of the log were gone through."""

    begins: dict[int, Position]
    positions: dict[int, Position]
    events: int


class Loading(msgspec.Struct, frozen=True):
    """A generation that is loaded. Whoever writes it holds it (`holding.hold`), by the connection that is passed.

    `dimensions` are those of its vectors. Every call raises `DatabaseAway`.
    """

    model: ReadModel
    generation: int
    dimensions: int | None

    @property
    def schema(self) -> str:
        """Where its tables are."""
        return schema_of(self.model.name, self.generation)

    def row_tables(self) -> list[Table]:
        """Its tables that hold rows."""
        return row_tables(self.model, self.schema, self.dimensions)

    async def stage(self, connection: asyncpg.Connection) -> Stage:
        """How far it is. Raises `GenerationMissing`."""
        with translated():
            row = await connection.fetchrow(_STAGE, self.model.name, self.generation, f"{self.schema}.loading")
        if row is None:
            raise GenerationMissing(f"there is no generation {self.generation} of {self.model.name}")
        is_loaded, has_positions = row
        return Stage.LOADED if is_loaded else Stage.ROWS if has_positions else Stage.INDEXES

    async def resume(self, connection: asyncpg.Connection) -> Standing:
        """Where to go on in `Stage.ROWS`: at the beginning again, if a crash of Postgres has emptied the rows."""
        with translated():
            async with connection.transaction():
                if not await connection.fetchval(self._sql("SELECT EXISTS (SELECT FROM {schema}.loading)")):
                    await connection.execute(f"TRUNCATE {self._tables()}")
                    await connection.execute(self._sql("DELETE FROM {schema}.parked"))
                    await connection.execute(self._sql(_BEGIN))
            begins = await connection.fetch(self._sql("SELECT partition, next, read_next FROM {schema}.positions"))
            rows = await connection.fetch(self._sql("SELECT partition, next, read_next, events FROM {schema}.loading"))
        return Standing(
            {partition: Position(*at) for partition, *at in begins},
            {partition: Position(*at) for partition, *at, _ in rows},
            sum(row["events"] for row in rows),
        )

    async def move(
        self, connection: asyncpg.Connection, partition: int, before: Position, after: Position, events: int
    ) -> None:
        """Move the loader's position over `events` records, in the transaction that writes what came of them."""
        moved = await connection.execute(
            self._sql(_MOVE), partition, after.next, after.read_next, events, before.next, before.read_next
        )
        if moved != "UPDATE 1":
            raise Fenced(
                f"{self.schema}: partition {partition} is not at {before.next} any more: somebody else loads it"
            )

    async def finish(self, connection: asyncpg.Connection) -> None:
        """End `Stage.ROWS` in one transaction: rows are durable, digests computed from them, positions moved."""
        first = self.model.tables[0]
        with translated():
            async with connection.transaction():
                for table in self.model.tables:
                    await connection.execute(f"ALTER TABLE {self.schema}.{table} SET LOGGED")
                await connection.execute(self._sql(_DIGEST, table=first, tallied=self.model.tallied))
                await connection.execute(self._sql(_ARRIVE))
                await connection.execute(self._sql("DROP TABLE {schema}.loading"))

    async def build_keys(self, connection: asyncpg.Connection) -> None:
        """Make the primary keys that are not there yet."""
        for table in self.row_tables():
            if not await self._has_key(connection, table):
                await self._build(connection, AddConstraint(table.primary_key))

    async def _has_key(self, connection: asyncpg.Connection, table: Table) -> bool:
        with translated():
            found: bool = await connection.fetchval(_HAS_KEY, table.fullname)
        return found

    async def build_indexes(self, connection: asyncpg.Connection) -> None:
        """Make the keys and indexes that are not there yet, and have the planner know the rows."""
        await self.build_keys(connection)
        for table in self.row_tables():
            for index in table.indexes:
                await self._build(connection, CreateIndex(index, if_not_exists=True))
        with translated():
            await connection.execute(f"ANALYZE {self._tables()}")

    async def _build(self, connection: asyncpg.Connection, ddl: ExecutableDDLElement) -> None:
        with translated():
            try:
                await _run(connection, ddl, f"SET LOCAL maintenance_work_mem = '{INDEX_MEMORY}'")
            except asyncpg.InsufficientResourcesError:
                # workers share their memory in /dev/shm, of which containers have little
                alone = "SET LOCAL max_parallel_maintenance_workers = 0"
                await _run(connection, ddl, f"SET LOCAL maintenance_work_mem = '{INDEX_MEMORY}'; {alone}")

    async def mark_loaded(self, connection: asyncpg.Connection) -> None:
        """Let it be read, and followed by projectors once nobody holds it."""
        with translated():
            await connection.execute(_LOADED, self.model.name, self.generation)

    def _tables(self) -> str:
        return ", ".join(f"{self.schema}.{table}" for table in self.model.tables)

    def _sql(self, template: str, **names: str) -> str:
        return template.format(schema=self.schema, **names)


async def _run(connection: asyncpg.Connection, ddl: ExecutableDDLElement, settings: str) -> None:
    async with connection.transaction():
        await connection.execute(settings)
        await connection.execute(str(ddl.compile(dialect=_DIALECT)))


async def create(
    connection: AsyncConnection, model: ReadModel, generation: int, build: Build, until: str | None = None
) -> Loading:
    """Make an empty generation to be loaded; nobody reads or follows it yet. `until` is the token that it ends at."""
    await lifecycle.create(connection, model, generation, build)
    loading = Loading(model, generation, build.dimensions)
    for table in loading.row_tables():
        await connection.execute(text(f"ALTER TABLE {table.fullname} SET UNLOGGED, DROP CONSTRAINT {table.name}_pkey"))
        for index in table.indexes:
            await connection.execute(DropIndex(index))
    await connection.execute(text(_TABLE.format(schema=loading.schema)))
    await connection.execute(text(_BEGIN.format(schema=loading.schema)))
    await connection.execute(text(_UNLOADED), {"until": until, "projection": model.name, "number": generation})
    return loading
