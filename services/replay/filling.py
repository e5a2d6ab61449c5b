"""Filling a generation with rows: the log is read, judged and folded while the segment before is written.

The outcome is what a projector's `Writer` would have made of the same log: rows, parked events, positions.
"""

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

import asyncpg
import msgspec
import structlog

from eventlog.connection import KafkaSettings
from projections import parking
from projections.database import translated
from projections.generations.loading import Loading
from projections.parking import Settled, Standing
from projections.parking_lot import LOCK, ParkingLot
from projections.port import Change, Entry
from projections.positions import Position, continuing
from schemas.errors import DataRefused, TooManyParked
from services.replay import reading, segments
from services.replay.progress import Phase, Progress
from services.replay.reading import Stretch
from services.replay.segments import Segment

_WRITTEN = """
CREATE TEMPORARY TABLE IF NOT EXISTS written (collection text COLLATE "C", document_id text COLLATE "C")
ON COMMIT DELETE ROWS
"""
_DELETE = """
DELETE FROM {schema}.{table} t USING written w WHERE t.collection = w.collection AND t.document_id = w.document_id
"""

log = structlog.get_logger()


class Job(msgspec.Struct, frozen=True):
    """What is to be loaded into which generation: `stretch`, or of it what lies below the source offsets `until`."""

    loading: Loading
    kafka: KafkaSettings
    stretch: Stretch
    until: Mapping[int, int] | None = None
    park_limit: int = parking.LIMIT


class _Refused(Exception):
    """Postgres won't take what came of a segment."""

    def __init__(self, segment: Segment, refusal: DataRefused) -> None:
        super().__init__(str(refusal))
        self.segment = segment
        self.refusal = refusal


class _Full(Exception):
    """There is no room to park `entry`; what comes before it is in the segment."""

    def __init__(self, segment: Segment, entry: Entry) -> None:
        super().__init__(str(entry.place))
        self.segment = segment
        self.entry = entry


class Filling:
    """Reads, folds and writes. `connection` writes, and nobody else uses it meanwhile."""

    def __init__(self, connection: asyncpg.Connection, job: Job, progress: Progress) -> None:
        self._connection = connection
        self._job = job
        self._loading = job.loading
        self._progress = progress
        self._lot = ParkingLot(job.loading.model.name, job.loading.schema, job.loading.model.order, job.park_limit)
        self._limit = segments.EVENTS
        self._suspect = 0
        self._amended: dict[tuple[int, int], Entry] = {}
        self._positions: dict[int, Position] = {}
        self._begins: Mapping[int, Position] = {}
        self._standings: list[Standing] = []
        self._done = 0

    async def run(self) -> int:
        """Fill it up to the end; returns how many records were gone through."""
        full: str | None = None
        while True:
            try:
                return await self._pass()
            except _Refused as refused:
                self._narrow(refused.segment, refused.refusal)
            except TooManyParked as error:
                if str(error) == full:
                    raise
                full = str(error)  # what operators have dealt with meanwhile makes room

    def _narrow(self, segment: Segment, refusal: DataRefused) -> None:
        """Read it again in halves, until the event that Postgres refuses stands alone, and have that one parked."""
        if segment.only is None:
            self._limit, self._suspect = segment.entries // 2, segment.after.next
        else:
            self._amended[segment.partition, segment.only.place.offset] = _parked(segment.only, refusal)
            self._limit = segments.EVENTS

    async def _pass(self) -> int:
        """Go on from what is written, up to the end or the first thing that can't be written."""
        standing = await self._loading.resume(self._connection)
        self._begins, self._positions = standing.begins, dict(standing.positions)
        self._standings = await self._parked()
        self._done = standing.events
        writing = _Writing()
        segment: Segment | None = None
        try:
            async with aclosing(self._batches()) as batches:
                async for batch in batches:
                    partition = batch[0].place.partition
                    if segment is not None and (segment.partition != partition or self._is_full(segment)):
                        await writing.begin(self._write, segment)
                        segment = None
                    if segment is None:
                        segment = self._segment(partition)
                    await self._add(segment, batch)
            if segment is not None:
                await writing.begin(self._write, segment)
            await writing.end()
        except _Full as full:
            await writing.begin(self._write, full.segment)
            await writing.end()
            raise self._lot.full(full.entry) from None
        except asyncio.CancelledError:
            writing.cancel()
            raise
        finally:
            await writing.abandon()
            if segment is not None:
                segment.close()
        return self._done

    async def _batches(self) -> AsyncGenerator[list[Entry]]:
        """The log from where it was read to, no batch longer than a segment may be."""
        job = self._job
        total = sum(map(self._to_read, self._positions))
        async with aclosing(reading.entries(job.kafka, job.stretch, dict(self._positions), job.until)) as found:
            async for batch in found:
                for first in range(0, len(batch), self._limit):
                    yield batch[first : first + self._limit]
                self._progress.show(Phase.LOADING, self._read(), total)

    def _segment(self, partition: int) -> Segment:
        at = self._positions[partition]
        return Segment(self._loading, partition, at, is_first=at == self._begins[partition])

    def _to_read(self, partition: int) -> int:
        """Offsets from the topic's beginning to where reading ends; about so many, in a derived one that ends early."""
        begin, end, until = self._job.stretch.begins[partition], self._job.stretch.ends[partition], self._job.until
        return max(0, (end if until is None else min(end, until[partition])) - begin)

    def _read(self) -> int:
        begins = self._job.stretch.begins
        return sum(max(0, at.read_next - begins[each]) for each, at in self._positions.items())

    def _is_full(self, segment: Segment) -> bool:
        return segment.is_full or segment.entries >= self._limit

    async def _parked(self) -> list[Standing]:
        source = self._job.stretch.source
        with translated():
            return await self._lot.standing(self._connection, source.name, source.partitions)

    async def _add(self, segment: Segment, batch: Sequence[Entry]) -> None:
        """Raises `Gap`, `_Refused`, and `_Full` with everything before the event added that there is no room for."""
        partition = segment.partition
        if self._amended:
            batch = [self._amended.get((partition, entry.place.offset), entry) for entry in batch]
        fresh = continuing(segment.after, batch)
        settled = self._settle(partition, fresh)
        beyond = fresh[len(settled.entries) :]
        if beyond:
            batch = fresh[: len(settled.entries)]
        try:
            await asyncio.to_thread(segment.add, batch, settled)
        except DataRefused as refusal:
            raise _Refused(segment, refusal) from refusal
        self._positions[partition] = segment.after
        if beyond:
            raise _Full(segment, beyond[0])

    def _settle(self, partition: int, fresh: Sequence[Entry]) -> Settled:
        """What becomes of each event; the room for parked ones is one for all partitions."""
        standing, order = self._standings[partition], self._loading.model.order
        if parking.is_settled(fresh, order, standing):
            return Settled(list(fresh), [], {})
        settled = parking.settle(fresh, order, standing)
        behind = parking.after(standing, settled)
        self._standings = [msgspec.structs.replace(each, room=behind.room) for each in self._standings]
        self._standings[partition] = behind
        return settled

    async def _write(self, segment: Segment) -> None:
        try:
            if segment.names is not None:
                await self._loading.build_keys(self._connection)
            with translated():
                async with self._connection.transaction():
                    await self._write_rows(segment)
                    await self._write_parked(segment)
                    await self._loading.move(
                        self._connection, segment.partition, segment.before, segment.after, segment.entries
                    )
        except DataRefused as refusal:
            raise _Refused(segment, refusal) from refusal
        finally:
            segment.close()
        gc.collect()  # nobody else does while a generation is loaded
        self._done += segment.entries
        if segment.after.next >= self._suspect:
            self._limit, self._suspect = segments.EVENTS, 0

    async def _write_rows(self, segment: Segment) -> None:
        lasting = await asyncio.to_thread(segment.lasting)
        schema, connection = self._loading.schema, self._connection
        if segment.names is not None:
            await connection.execute(_WRITTEN)
            await connection.copy_to_table("written", source=segment.names.copied(lasting), format="binary")
            await connection.execute("ANALYZE written")
            for table in segment.rows:
                await connection.execute(_DELETE.format(schema=schema, table=table))
        for table, rows in segment.rows.items():
            await connection.copy_to_table(
                table,
                schema_name=schema,
                columns=self._loading.model.columns(table),
                source=rows.copied(lasting),
                format="binary",
            )

    async def _write_parked(self, segment: Segment) -> None:
        if not segment.parked:
            return
        await self._connection.execute(LOCK, self._loading.schema)
        rows = [row for settled in segment.parked for row in settled.rows]
        if rows:
            # what operators have given up since it was read
            skipped = await self._lot.skipped(self._connection, [row.entry for row in rows])
            for row in rows:
                if row.resolved_by is None:
                    row.skipped_at = row.skipped_at or skipped.get(row.entry.place.offset)
        for settled in segment.parked:
            await self._lot.record(self._connection, settled)


class _Writing:
    """The segment that is being written; one at a time."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def begin(self, write: Callable[[Segment], Awaitable[None]], segment: Segment) -> None:
        """Begin to write a segment once the one before is written."""
        await self.end()
        self._task = asyncio.ensure_future(write(segment))

    async def end(self) -> None:
        """Wait until what is being written is written."""
        if self._task is not None:
            task, self._task = self._task, None
            await task

    async def abandon(self) -> None:
        """Whatever went wrong elsewhere: let the transaction end, one way or the other."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def cancel(self) -> None:
        """Break off what is being written."""
        if self._task is not None:
            self._task.cancel()


def _parked(entry: Entry, refusal: DataRefused) -> Entry:
    """The entry to be parked that Postgres refuses; without its bytes, if it is to be parked already."""
    if isinstance(entry.content, Change):
        log.warning("event parked", place=entry.place, reason=str(refusal))
        return parking.refused(entry, f"Postgres refuses it: {refusal}")
    if parking.is_parked(entry) and entry != parking.bare(entry):
        return parking.bare(entry)
    raise refusal
