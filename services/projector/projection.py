"""One projection at work: from its inbox through the writer into its read model."""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from eventlog.delivery import Delivered, TopicPartition
from eventlog.inbox import Inbox
from projections.port import Entry
from projections.writer import Writer
from schemas.errors import NotClaimed
from schemas.topics import DOCUMENTS
from services.projector import entries

BATCH_RECORDS = 2000
BATCH_BYTES = 8 * 1024 * 1024

log = structlog.get_logger()


class Source(msgspec.Struct, frozen=True):
    """The source topic as it is now."""

    incarnation: str
    partitions: int


class Projection:
    """Folds what arrives in one inbox. `read` makes entries of deliveries."""

    def __init__(self, inbox: Inbox, writer: Writer, read: Callable[[Delivered, Source], Entry | None]) -> None:
        self.inbox = inbox
        self._writer = writer
        self._read = read
        self._source = Source("", 0)

    async def claim(self, assigned: frozenset[TopicPartition], source: Source) -> Mapping[TopicPartition, int]:
        """Claim the assigned partitions of this projection's topic, and say where each is read on."""
        mine = [place.partition for place in assigned if place.topic == self.inbox.topic]
        self._source = source
        positions = await self._writer.claim(DOCUMENTS, mine, source.incarnation, source.partitions)
        return {TopicPartition(self.inbox.topic, partition): at.read_next for partition, at in positions.items()}

    async def release(self) -> None:
        """Finish the transaction under way, and write no more."""
        await self._writer.release()

    async def work(self) -> None:
        """Apply what arrives, for ever. Anything unexpected ends the process: the position says where to go on."""
        async for batch in self.inbox.batches(BATCH_RECORDS, BATCH_BYTES):
            found = (self._read(delivered, self._source) for delivered in batch.deliveries)
            try:
                await self._writer.apply(batch.place.partition, [entry for entry in found if entry is not None])
            except NotClaimed:
                log.info("batch dropped, its partition was let go", place=str(batch.place))


def from_source(delivered: Delivered, source: Source) -> Entry:
    """A delivery of the source topic; a quiet end moves the position over its markers."""
    if delivered.record is None:
        topic, partition = delivered.place
        return entries.quiet(topic, partition, delivered.since, delivered.next)
    return entries.from_source(delivered.record, delivered.since, source.partitions)


def from_derived(delivered: Delivered, source: Source) -> Entry | None:
    """A delivery of the derived topic; markers in it, of whoever made them, cover nothing of the source."""
    return None if delivered.record is None else entries.from_derived(delivered.record, source.incarnation)
