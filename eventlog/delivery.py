"""What a consumer hands over: records, each with the stretch of log that it stands for."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.records import Record


class TopicPartition(NamedTuple):
    """A partition, by the logical name of its topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Delivered(msgspec.Struct, frozen=True):
    """A stretch of a partition, `since` up to but without `next`, and the record at its end.

    Those below the record held nothing to read: transaction markers and aborted records. Without a record the whole
    stretch is like that: a quiet end of the log. Stretches of one session continue each other without a hole.
    """

    place: TopicPartition
    session: int
    since: int
    next: int
    record: Record | None

    @property
    def size(self) -> int:
        """About what it occupies, in bytes."""
        record = self.record
        if record is None:
            return 256
        headers = sum(128 + len(name) + len(value or b"") for name, value in record.headers)
        return 512 + len(record.key or b"") + len(record.value or b"") + headers


class PartitionBatch(msgspec.Struct, frozen=True):
    """Deliveries of one partition and one session, in order, without a hole, at least one."""

    place: TopicPartition
    session: int
    deliveries: tuple[Delivered, ...]

    @property
    def since(self) -> int:
        """The first offset that the batch stands for."""
        return self.deliveries[0].since

    @property
    def next(self) -> int:
        """The offset after the batch: the position once it is dealt with."""
        return self.deliveries[-1].next

    def records(self) -> Iterator[Record]:
        """What there is to fold; nothing in a batch that only passes over markers."""
        return (delivered.record for delivered in self.deliveries if delivered.record is not None)
