"""One projection at work: from its inbox through the writer into its read model."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog
from opentelemetry.trace import Span, Tracer

from eventlog.delivery import Delivered, TopicPartition
from eventlog.inbox import Inbox
from projections.port import Entry
from projections.writer import Writer
from schemas.errors import Gap, NotClaimed, OtherIncarnation, UndecodableRecord
from schemas.topics import DOCUMENTS
from services import tracing
from services.projector import entries
from services.projector.metrics import ProjectionMetrics

BATCH_RECORDS = 2000
BATCH_BYTES = 8 * 1024 * 1024
TRY_AGAIN_AFTER = 30.0
"""Seconds between a projection that has to stop and the process's end, which begins it anew."""

log = structlog.get_logger()


class Source(msgspec.Struct, frozen=True):
    """The source topic as it is now."""

    incarnation: str
    partitions: int


class Projection:
    """Folds what arrives in one inbox. `read` makes entries of deliveries; `metrics` are those of this projection."""

    def __init__(
        self,
        inbox: Inbox,
        writer: Writer,
        read: Callable[[Delivered, Source], Entry | None],
        metrics: ProjectionMetrics,
    ) -> None:
        self.inbox = inbox
        self.name = writer.name
        self.stopped: str | None = None
        self._metrics = metrics
        self._tracer = tracing.tracer()
        self._writer = writer
        self._read = read
        self._source = Source("", 0)

    async def claim(self, assigned: frozenset[TopicPartition], source: Source) -> Mapping[TopicPartition, int]:
        """Claim the assigned partitions of this projection's topic, and say where each is read on."""
        mine = [place.partition for place in assigned if place.topic == self.inbox.topic]
        self._source = source
        positions = await self._writer.claim(DOCUMENTS, mine, source.incarnation, source.partitions)
        self._metrics.claims.inc()
        return {TopicPartition(self.inbox.topic, partition): at.read_next for partition, at in positions.items()}

    async def release(self) -> None:
        """Finish the transaction under way, and write no more."""
        await self._writer.release()

    def position(self, partition: int) -> int:
        """The next offset of the source to apply. Raises `NotClaimed`."""
        return self._writer.position(partition).next

    async def work(self) -> None:
        """Apply what arrives, for ever. Anything unexpected ends the process: the position says where to go on.

        A log that can't be gone on with is this projection's alone: the others go on for a while before that end.
        """
        try:
            await self._work()
        except (Gap, OtherIncarnation, UndecodableRecord) as error:
            self.stopped = str(error)
            self._metrics.stopped.set(1)
            log.error("projection stopped", projection=self.name, error=self.stopped, trying_again_in=TRY_AGAIN_AFTER)
            await asyncio.sleep(TRY_AGAIN_AFTER)
            raise

    async def _work(self) -> None:
        async for batch in self.inbox.batches(BATCH_RECORDS, BATCH_BYTES):
            found = (self._read(delivered, self._source) for delivered in batch.deliveries)
            try:
                await self._apply(batch.place.partition, [entry for entry in found if entry is not None])
            except NotClaimed:
                log.info("batch dropped, its partition was let go", place=str(batch.place))

    async def _apply(self, partition: int, entries: Sequence[Entry]) -> None:
        self._metrics.read(entries, self.position(partition))
        spans = [] if self._tracer is None else [self._span(entry, self._tracer) for entry in entries]
        with self._metrics.apply_seconds.time():
            await self._writer.apply(partition, entries)
        tracing.ended(spans)

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
