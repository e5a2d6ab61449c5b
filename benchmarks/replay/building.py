"""One load of a generation, as a rebuild does it before its gates; and the same rows put there by hand."""

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, CreateIndex

from benchmarks.replay.logs import PARTITIONS
from benchmarks.replay.unindexed import VECTORS
from eventlog.connection import KafkaSettings
from projections.control.install import administration
from projections.database import connect
from projections.documents import Documents
from projections.generations import loading
from projections.generations.lifecycle import Build
from projections.generations.loading import INDEX_MEMORY, Loading
from projections.passages import Passages
from projections.port import ReadModel
from schemas.encoders import MINILM
from schemas.topics import DOCUMENTS
from services.replay import reading
from services.replay.filling import Job
from services.replay.loading import load
from services.replay.progress import Silent

_OPTIONS = """
SELECT coalesce(array_to_string(reloptions, ', '), 'fillfactor = 100') FROM pg_class WHERE oid = $1::text::regclass
"""


class Built(msgspec.Struct, frozen=True):
    """What a load took: seconds, all of them and by phase, and the processor's of this process."""

    loading: Loading
    events: int
    seconds: float
    phases: Mapping[str, float]
    processor: float


async def built(dsn: str, kafka: KafkaSettings, model: ReadModel, generation: int) -> Built:
    """Load a new generation of `model` from the whole log."""
    encoder = None if isinstance(model, Documents) else MINILM
    stretch = await reading.stretch(kafka, None if encoder is None else encoder.name)
    names = (None, None) if encoder is None else (encoder.name, encoder.dimensions)
    build = Build(DOCUMENTS, PARTITIONS, stretch.source.incarnation, *names)
    async with administration(dsn) as administering:
        made = await loading.create(administering, model, generation, build)
    connection = await connect(dsn, application="nenrin benchmark")
    began, processor = time.perf_counter(), time.process_time()
    found = await load(connection, Job(made, dsn, kafka, stretch), Silent())
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    await connection.close()
    return Built(made, found.events, seconds, {str(name): took for name, took in found.seconds.items()}, processor)


async def by_hand(connection: asyncpg.Connection, made: Loading) -> float:
    """Seconds to put a generation's rows into tables of the same definition: binary COPY, the same steps, one by one.

    The rows are in a file already, as Postgres wrote it.
    """
    async with _beside(connection, made) as (beside, rows):
        began = time.perf_counter()
        for table in beside.model.tables:
            await _copy(connection, beside, table, rows)
            await connection.execute(f"ALTER TABLE {beside.schema}.{table} SET LOGGED")
        await connection.execute(f"SET maintenance_work_mem = '{INDEX_MEMORY}'")
        for made_table in beside.row_tables():
            await connection.execute(_ddl(AddConstraint(made_table.primary_key)))
            for index in made_table.indexes:
                await connection.execute(_ddl(CreateIndex(index)))
        tables = ", ".join(f"{beside.schema}.{table}" for table in beside.model.tables)
        await connection.execute(f"ANALYZE {tables}")
        return time.perf_counter() - began


async def bare_copy(connection: asyncpg.Connection, made: Loading) -> tuple[float, float]:
    """Seconds of a binary COPY of a generation's rows into durable tables that have their keys.

    From a file that Postgres wrote, which costs this process nothing; and from rows in memory, which asyncpg encodes.
    """
    return await _bare(connection, made, _copy), await _bare(connection, made, _copy_records)


async def _bare(
    connection: asyncpg.Connection,
    made: Loading,
    copy: Callable[[asyncpg.Connection, Loading, str, Path], Awaitable[float]],
) -> float:
    async with _beside(connection, made) as (beside, rows):
        for made_table in beside.row_tables():
            await connection.execute(f"ALTER TABLE {made_table.fullname} SET LOGGED")
            await connection.execute(_ddl(AddConstraint(made_table.primary_key)))
        return sum([await copy(connection, beside, table, rows) for table in beside.model.tables])


async def _copy(connection: asyncpg.Connection, beside: Loading, table: str, rows: Path) -> float:
    columns, began = beside.model.columns(table), time.perf_counter()
    await connection.copy_to_table(
        table, schema_name=beside.schema, columns=columns, source=rows / table, format="binary"
    )
    return time.perf_counter() - began


async def _copy_records(connection: asyncpg.Connection, beside: Loading, table: str, rows: Path) -> float:
    columns = beside.model.columns(table)
    copied = f"{beside.schema}.{table}"
    await connection.copy_to_table(
        table, schema_name=beside.schema, columns=columns, source=rows / table, format="binary"
    )
    names = ", ".join(f'"{name}"' for name in columns)
    records = [tuple(row) for row in await connection.fetch(f"SELECT {names} FROM {copied}")]
    await connection.execute(f"TRUNCATE {copied}")
    began = time.perf_counter()
    await connection.copy_records_to_table(table, schema_name=beside.schema, columns=columns, records=records)
    return time.perf_counter() - began


@asynccontextmanager
async def _beside(connection: asyncpg.Connection, made: Loading) -> AsyncIterator[tuple[Loading, Path]]:
    """Empty unlogged tables of the same definition, in a schema of their own; and a folder with the rows for them."""
    beside = Loading(made.model, 1000 + made.generation, made.dimensions)
    await connection.execute(f"CREATE SCHEMA {beside.schema}")
    for table in beside.model.tables:
        like = f"{made.schema}.{table}"
        options = await connection.fetchval(_OPTIONS, like)  # LIKE leaves them out
        await connection.execute(
            f"CREATE UNLOGGED TABLE {beside.schema}.{table} "
            f"(LIKE {like} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE) WITH ({options})"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="nenrin-bench-") as folder:
            for table in beside.model.tables:
                names = ", ".join(f'"{name}"' for name in beside.model.columns(table))
                query = f"SELECT {names} FROM {made.schema}.{table}"
                await connection.copy_from_query(query, output=Path(folder) / table, format="binary")
            yield beside, Path(folder)
    finally:
        await connection.execute(f"DROP SCHEMA {beside.schema} CASCADE")


async def vector_index(connection: asyncpg.Connection, made: Loading) -> tuple[float, float]:
    """Seconds to build the HNSW index of a generation that lacks only that: by us, and by hand."""
    whole = msgspec.structs.replace(made, model=Passages())
    began = time.perf_counter()
    await whole.build_indexes(connection)
    ours = time.perf_counter() - began
    await connection.execute(f"DROP INDEX {made.schema}.{VECTORS}")
    (index,) = (index for table in whole.row_tables() for index in table.indexes if index.name == VECTORS)
    await connection.execute(f"SET maintenance_work_mem = '{INDEX_MEMORY}'")
    began = time.perf_counter()
    await connection.execute(_ddl(CreateIndex(index)))
    return ours, time.perf_counter() - began


def _ddl(element: Any) -> str:
    return str(element.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
