"""Which records of a stream are acknowledged, and how far all of them are, without a gap. Pure."""

from typing import Generic, TypeVar

M = TypeVar("M")


class Ledger(Generic[M]):
    """The records that were handed to Kafka, in order, each with a mark.

    A record's mark says what is true of the stream just before it: that is how far the stream is for certain while
    this record is the first that nobody has acknowledged.
    """

    def __init__(self) -> None:
        self._open: dict[int, M] = {}
        self._handed = 0
        self.acknowledged = 0
        self.offsets: dict[int, int] = {}
        """The next offset after the acknowledged records, by partition."""

    def hand_over(self, mark: M) -> int:
        """A record is on its way; returns its ticket."""
        self._handed += 1
        self._open[self._handed] = mark
        return self._handed

    def acknowledge(self, ticket: int, partition: int, following: int) -> None:
        """A record is in the log, before the offset `following`."""
        if ticket in self._open:
            del self._open[ticket]
            self.acknowledged += 1
            self.offsets[partition] = max(following, self.offsets.get(partition, 0))

    def withdraw(self, ticket: int) -> None:
        """A record that is certainly not in the log, and never will be."""
        self._open.pop(ticket, None)

    @property
    def open(self) -> int:
        """How many records wait for their acknowledgement."""
        return len(self._open)

    def first_open(self) -> int | None:
        """The ticket of the first of them."""
        return next(iter(self._open), None)

    def reached(self, end: M) -> M:
        """How far the stream is without a gap: up to the first open record, or to `end` where none is open."""
        return next(iter(self._open.values()), end)
