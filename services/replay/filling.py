"""Filling a generation with rows: the log is read, judged and folded while the segment before is written.

The outcome is what a projector's `Writer` would have made of the same log: rows, parked events, positions.
"""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import asyncpg
import msgspec
import structlog

from eventlog.connection import KafkaSettings
from projections import parking
from projections.database import connect, translated
from projections.generations.loading import Loading
from projections.generations.loading import Standing as Resumed
from projections.parking import Standing
from projections.parking_lot import LOCK, ParkingLot
from projections.port import Entry
from projections.positions import Position
from schemas.errors import DatabaseAway, DataRefused, TooManyParked
from services.replay import reading, segments, workers
from services.replay.folding import Folding, Full
from services.replay.narrowing import Narrowing, Refused
from services.replay.orders import Part, Task
from services.replay.progress import Phase, Progress
from services.replay.reading import Stretch
from services.replay.segments import Finished
from services.replay.workers import Stopped, Workers
from services.replay.writing import Writing

_WRITTEN = """
CREATE TEMPORARY TABLE IF NOT EXISTS written (collection text COLLATE "C", document_id text COLLATE "C")
ON COMMIT DELETE ROWS
"""
_DELETE = """
DELETE FROM {schema}.{table} t USING written w WHERE t.collection = w.collection AND t.document_id = w.document_id
"""

log = structlog.get_logger()


class Job(msgspec.Struct, frozen=True):
    """What is to be loaded into which generation: `stretch`, or of it what lies below the source offsets `until`.

    `dsn` names its database, for a second connection that writes beside the first where that helps.
    """

    loading: Loading
    dsn: str
    kafka: KafkaSettings
    stretch: Stretch
    until: Mapping[int, int] | None = None
    park_limit: int = parking.LIMIT


class Filling:
    """Reads, folds and writes. `connection` holds the generation, and nobody else uses it meanwhile."""

    def __init__(self, connection: asyncpg.Connection, job: Job, progress: Progress) -> None:
        self._connection = connection
        self._job = job
        self._loading = job.loading
        self._progress = progress
        self._lot = ParkingLot(job.loading.model.name, job.loading.schema, job.loading.model.order, job.park_limit)
        self._narrowing = Narrowing(segments.EVENTS)
        self._alone = False
        self._positions: dict[int, Position] = {}
        self._done = 0

    async def run(self) -> int:
        """Fill it up to the end; returns how many records were gone through."""
        full: str | None = None
        while True:
            try:
                return await self._pass()
            except Stopped as stopped:
                self._progress.say(f"one process goes on with what several had begun: {stopped}")
                self._alone = True
            except Refused as refused:
                self._alone = True
                if (parked := self._narrowing.narrow(refused)) is not None:
                    log.warning("event parked", place=parked.place, reason=str(refused))
            except TooManyParked as error:
                if str(error) == full:
                    raise
                full = str(error)  # what operators have dealt with meanwhile makes room

    async def _pass(self) -> int:
        """Go on from what is written, up to the end or the first thing that can't be written."""
        standing = await self._loading.resume(self._connection)
        parked = dict(enumerate(await self._parked()))
        self._positions = standing.positions
        self._done = standing.events
        self._show()
        left = [found for found in map(self._left, standing.positions) if found]
        number = 0 if self._alone else workers.number_of(len(left), sum(left))
        async with self._connections(number) as connections:
            await self._go_through(self._segments(standing, parked, number), Writing(connections, self._write))
        return self._done

    @asynccontextmanager
    async def _connections(self, number: int) -> AsyncIterator[list[asyncpg.Connection]]:
        """Those that write what so many workers fold: where there are any, Postgres can be kept busy in two processes.

        What the second one writes, too, only lasts if the loader's position was where it is expected (`Loading.move`).
        """
        if not number:
            yield [self._connection]
            return
        try:
            second = await connect(self._job.dsn, application=f"nenrin load of {self._loading.schema}")
        except DatabaseAway as error:  # there may be no room for another one
            log.warning("one connection writes alone", error=str(error))
            yield [self._connection]
            return
        try:
            yield [self._connection, second]
        finally:
            second.terminate()

    async def _go_through(self, folded: AsyncGenerator[Finished], writing: Writing) -> None:
        try:
            async with aclosing(folded) as found:
                async for segment in found:
                    await writing.begin(segment)
            await writing.end()
        except Full as full:
            await writing.end()
            raise self._lot.full(full.entry) from None
        except asyncio.CancelledError:
            writing.cancel()
            raise
        finally:
            await writing.abandon()

    def _segments(self, standing: Resumed, parked: Mapping[int, Standing], number: int) -> AsyncGenerator[Finished]:
        """What is left, folded by so many workers, or here."""
        job, loading = self._job, self._loading
        parts = [
            Part(partition, standing.begins[partition], at, parked[partition])
            for partition, at in sorted(standing.positions.items(), key=lambda each: self._left(each[0]), reverse=True)
        ]
        if number:
            what = (loading.model, loading.schema, loading.dimensions, self._narrowing.limit)
            task = Task(reading.entries, job.kafka, job.stretch, job.until, *what)
            return Workers(task, parts, parked[0].room, self._reached).segments(number)
        tables = loading.row_tables()
        folding = Folding(loading.model, tables, standing.begins, standing.positions, parked, self._narrowing)
        return folding.segments(self._batches(folding))

    async def _batches(self, folding: Folding) -> AsyncGenerator[list[Entry]]:
        """The log from where it was written to."""
        job = self._job
        async with aclosing(reading.entries(job.kafka, job.stretch, folding.positions, job.until)) as found:
            async for batch in found:
                yield batch
                partition = batch[0].place.partition
                self._reached(partition, folding.positions[partition])

    def _reached(self, partition: int, position: Position) -> None:
        self._positions[partition] = position
        self._show()

    def _show(self) -> None:
        self._progress.show(
            Phase.LOADING, sum(map(self._read, self._positions)), sum(map(self._to_read, self._positions))
        )

    def _to_read(self, partition: int) -> int:
        """Offsets from the topic's beginning to where reading ends; about so many, in a derived one that ends early."""
        begin, end, until = self._job.stretch.begins[partition], self._job.stretch.ends[partition], self._job.until
        return max(0, (end if until is None else min(end, until[partition])) - begin)

    def _read(self, partition: int) -> int:
        return max(0, self._positions[partition].read_next - self._job.stretch.begins[partition])

    def _left(self, partition: int) -> int:
        return max(0, self._to_read(partition) - self._read(partition))

    async def _parked(self) -> list[Standing]:
        source = self._job.stretch.source
        with translated():
            return await self._lot.standing(self._connection, source.name, source.partitions)

    async def _write(self, connection: asyncpg.Connection, segment: Finished) -> None:
        try:
            if segment.names is not None:
                await self._loading.build_keys(connection)
            with translated():
                async with connection.transaction():
                    await self._write_rows(connection, segment)
                    await self._write_parked(connection, segment)
                    await self._loading.move(
                        connection, segment.partition, segment.before, segment.after, segment.entries
                    )
        except DataRefused as refusal:
            raise Refused(segment, refusal) from refusal
        finally:
            segment.close()
        gc.collect()  # nobody else does while a generation is loaded
        self._done += segment.entries
        self._narrowing.passed(segment.after)

    async def _write_rows(self, connection: asyncpg.Connection, segment: Finished) -> None:
        schema = self._loading.schema
        if segment.names is not None:
            await connection.execute(_WRITTEN)
            await connection.copy_to_table("written", source=segment.names.copied(), format="binary")
            await connection.execute("ANALYZE written")
            for table in segment.rows:
                await connection.execute(_DELETE.format(schema=schema, table=table))
        for table, rows in segment.rows.items():
            await connection.copy_to_table(
                table,
                schema_name=schema,
                columns=self._loading.model.columns(table),
                source=rows.copied(),
                format="binary",
            )

    async def _write_parked(self, connection: asyncpg.Connection, segment: Finished) -> None:
        if not segment.parked:
            return
        await connection.execute(LOCK, self._loading.schema)
        rows = [row for settled in segment.parked for row in settled.rows]
        if rows:
            # what operators have given up since it was read
            skipped = await self._lot.skipped(connection, [row.entry for row in rows])
            for row in rows:
                if row.resolved_by is None:
                    row.skipped_at = row.skipped_at or skipped.get(row.entry.place.offset)
        for settled in segment.parked:
            await self._lot.record(connection, settled)
