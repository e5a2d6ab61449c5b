"""One generation of a projection at work: from its inbox through the writer into its read model."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

import asyncpg
import structlog
from opentelemetry.trace import Span, Tracer

from eventlog.delivery import Delivered, TopicPartition
from eventlog.inbox import Inbox
from eventlog.watching import CLAIM_AGAIN_AFTER
from projections.port import Entry
from projections.positions import Position
from projections.writer import Writer
from schemas.errors import (
    DatabaseAway,
    Gap,
    GenerationMissing,
    GenerationOutdated,
    LogAway,
    LogCut,
    NenrinError,
    NotClaimed,
    OtherIncarnation,
    PositionLost,
    TooManyParked,
    TopicMismatch,
    UndecodableRecord,
)
from schemas.topics import DOCUMENTS
from services import entries, tracing
from services.projector.log import Log, Source
from services.projector.metrics import ProjectionMetrics

BATCH_RECORDS = 2000
BATCH_BYTES = 8 * 1024 * 1024
STOPPING = (Gap, GenerationOutdated, OtherIncarnation, PositionLost, TopicMismatch, UndecodableRecord)
"""What one generation can't go on with, whatever becomes of the others."""
Waiting = DatabaseAway | LogAway | TooManyParked
"""What keeps one from going on now, and passes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries of what Postgres can't do now; each pause is twice the one before."""

log = structlog.get_logger()


class Projection:
    """Folds what arrives in one inbox. `read` makes entries of deliveries; `metrics` are those of this projection.

    Positions are held against `source_log` at each claim, where one is given, and it is confirmed before each commit.
    """

    def __init__(
        self,
        inbox: Inbox,
        writer: Writer,
        read: Callable[[Delivered, Source], Entry | None],
        metrics: ProjectionMetrics,
        source_log: Log | None = None,
    ) -> None:
        self.inbox = inbox
        self.name = writer.name
        self.stopped: str | None = None
        self.waiting: Waiting | None = None
        self._claim_again_at: float | None = None
        self._metrics = metrics
        self._tracer = tracing.tracer()
        self._writer = writer
        self._read = read
        self._log = source_log
        self._source = Source("", 0)

    async def claim(self, assigned: frozenset[TopicPartition], source: Source) -> Mapping[TopicPartition, int]:
        """Claim the assigned partitions of this projection's topic, and say where each is read on.

        None of them where it can't go on, or Kafka or Postgres is away: then it is `due` for another claim after a
        while, and the others are none the worse.
        """
        mine = [place.partition for place in assigned if place.topic == self.inbox.topic]
        self._source = source
        try:
            positions = await self._writer.claim(DOCUMENTS, mine, source.incarnation, source.partitions)
            places = await self._places(positions)
        except (*STOPPING, GenerationMissing) as error:
            if isinstance(error, LogCut):
                await self._writer.cut(DOCUMENTS, source.incarnation)
            self.stop(error)
            return {}
        except (DatabaseAway, LogAway) as error:
            self._wait(error)
            self._claim_again_at = time.monotonic() + LONGEST_PAUSE
            return {}
        self._metrics.claims.inc()
        self._go_on()
        return places

    async def _places(self, positions: Mapping[int, Position]) -> Mapping[TopicPartition, int]:
        if self._log is None:
            return {TopicPartition(self.inbox.topic, partition): at.read_next for partition, at in positions.items()}
        return await self._log.reading(self.inbox.topic, positions)

    @property
    def due(self) -> bool:
        """Whether it is time to claim again what could not be claimed or gone on with."""
        return self._claim_again_at is not None and time.monotonic() >= self._claim_again_at

    @property
    def standing(self) -> str:
        """How it is, for people."""
        if self.stopped is not None:
            return f"stopped: {self.stopped}"
        if self.waiting is None:
            return "going on"
        return f"{'stopped' if isinstance(self.waiting, TooManyParked) else 'waiting'}: {self.waiting}"

    async def release(self) -> None:
        """Finish the transaction under way, and write no more."""
        await self._writer.release()

    async def confirm(self, connection: asyncpg.Connection) -> None:
        """Ask whether what was claimed still is this process's. Raises `Fenced`."""
        await self._writer.confirm(connection)

    def position(self, partition: int) -> int:
        """The next offset of the source to apply. Raises `NotClaimed`."""
        return self._writer.position(partition).next

    async def work(self) -> None:
        """Apply what arrives, for ever. A log that can't be gone on with stops it until it is claimed again.

        Raises `Fenced`, `GenerationMissing`. Anything unexpected ends the process: the position says where to go on.
        """
        while True:
            try:
                await self._work()
            except STOPPING as error:
                self.stop(error)
                if isinstance(error, PositionLost):
                    self._claim_again_at = time.monotonic()  # the claim finds out what became of the log

    def stop(self, error: NenrinError) -> None:
        """Read and write nothing more until the next claim, and say why."""
        self.inbox.end()
        if self.stopped != str(error):
            # a generation that is dropped may go before it is let go of
            level = logging.INFO if isinstance(error, GenerationMissing) else logging.ERROR
            log.log(level, "projection stopped", generation=self._writer.schema, error=str(error))
        self.stopped = str(error)
        self._claim_again_at = time.monotonic() + CLAIM_AGAIN_AFTER
        self._metrics.stopped.set(1)

    def _wait(self, error: Waiting) -> None:
        if str(self.waiting) != str(error):
            log.warning("projection waits", generation=self._writer.schema, reason=str(error))
        self.waiting = error
        self._metrics.retries.inc()
        self._metrics.stopped.set(isinstance(error, TooManyParked))

    def _go_on(self) -> None:
        if self.stopped is not None or self.waiting is not None:
            log.info("projection goes on", generation=self._writer.schema)
        self.stopped = self.waiting = self._claim_again_at = None
        self._metrics.stopped.set(0)

    async def _work(self) -> None:
        async with aclosing(self.inbox.batches(BATCH_RECORDS, BATCH_BYTES)) as batches:
            async for batch in batches:
                if self._log is not None:
                    await self._log.confirm()
                found = (self._read(delivered, self._source) for delivered in batch.deliveries)
                try:
                    await self._apply(batch.place.partition, [entry for entry in found if entry is not None])
                except NotClaimed:
                    log.info("batch dropped, its partition was let go", place=str(batch.place))

    async def _apply(self, partition: int, entries: Sequence[Entry]) -> None:
        self._metrics.read(entries, self.position(partition))
        spans = [] if self._tracer is None else [self._span(entry, self._tracer) for entry in entries]
        await self._until_applied(partition, entries)
        tracing.ended(spans)

    async def _until_applied(self, partition: int, entries: Sequence[Entry]) -> None:
        """Apply a batch, again and again while Postgres can't take it or too much is parked already.

        After an error of Postgres' its claims are made anew: only the position can tell how the transaction ended.
        """
        pause, lost = FIRST_PAUSE, False
        while True:
            try:
                if lost:
                    await self._writer.renew()
                    lost = False
                with self._metrics.apply_seconds.time():
                    await self._writer.apply(partition, entries)
            except DatabaseAway as error:
                lost = True
                self._wait(error)
            except TooManyParked as error:
                pause = LONGEST_PAUSE
                self._wait(error)
            else:
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if self.waiting is not None:
            self._go_on()

    def _span(self, entry: Entry, tracer: Tracer) -> Span | None:
        place = tracing.place(self.inbox.topic, entry.place.partition, entry.place.read_next - 1)
        return tracing.consuming(tracer, f"apply {self.name}", entry.traceparent, place)


def from_source(delivered: Delivered, source: Source) -> Entry:
    """A delivery of the source topic; a quiet end moves the position over its markers."""
    if delivered.record is None:
        topic, partition = delivered.place
        return entries.quiet(topic, partition, delivered.since, delivered.next)
    return entries.from_source(delivered.record, delivered.since, source.partitions)


def from_derived(delivered: Delivered, source: Source) -> Entry | None:
    """A delivery of the derived topic; markers in it, of whoever made them, cover nothing of the source."""
    return None if delivered.record is None else entries.from_derived(delivered.record, source.incarnation)
