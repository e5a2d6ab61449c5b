"""A stretch of a partition that was read once, and the broker's times of the records in it."""

from bisect import bisect_left
from collections.abc import Iterable

import msgspec


class Record(msgspec.Struct, frozen=True):
    """What a record is to the probe: its offset, and the broker's time in milliseconds."""

    offset: int
    time: int


class Unread(msgspec.Struct, frozen=True):
    """The stretch does not reach far enough to say."""


class MarkersOnly(msgspec.Struct, frozen=True):
    """There is no record up to the head: transaction markers alone."""


class Stretch(msgspec.Struct, frozen=True):
    """The records of the offsets `start` up to but without `end`. Offsets without a record held markers."""

    start: int = 0
    end: int = 0
    records: tuple[Record, ...] = ()

    def first(self, position: int, head: int) -> Record | MarkersOnly | Unread:
        """The first record at or after `position`, below `head`."""
        if not self.start <= position <= self.end:
            return Unread()
        at = bisect_left(self.records, position, key=lambda record: record.offset)
        if at < len(self.records):
            return self.records[at]
        return MarkersOnly() if self.end >= head else Unread()

    def extended(self, records: Iterable[Record], end: int) -> "Stretch":
        """This stretch and what was read after it."""
        return Stretch(self.start, max(self.end, end), (*self.records, *records))
