"""Where a topic's deliveries wait for the process to deal with them."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping

from eventlog.delivery import Delivered, PartitionBatch, TopicPartition
from schemas.errors import Gap, NenrinError

NOBODY = 0
"""The session of a process that owns no partition."""


class Inbox:
    """The deliveries of one topic, from being fetched until they are done.

    It bounds what is fetched and not done, in records and in bytes: a full inbox holds back the fetching of its topic
    and of no other, so that an agent never blocks. A new session empties it.
    """

    def __init__(self, topic: str, *, records: int = 4096, size: int = 32 * 1024 * 1024) -> None:
        self.topic = topic
        self._records_limit = records
        self._size_limit = size
        self._session = NOBODY
        self._records = 0
        self._size = 0
        self._counting = threading.Lock()  # fetched on the consumer's thread, done on the event loop
        self._waiting: dict[TopicPartition, deque[Delivered]] = {}
        self._expected: dict[TopicPartition, int] = {}
        self._busy: set[TopicPartition] = set()
        self._failure: NenrinError | None = None
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return self._records

    @property
    def session(self) -> int:
        """The session whose deliveries it takes."""
        return self._session

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The offset that comes next in each partition of this session."""
        return self._expected

    def expected(self, place: TopicPartition) -> int:
        """The offset that comes next in a partition of this session."""
        return self._expected[place]

    @property
    def size(self) -> int:
        """Bytes fetched and not done."""
        return self._size

    @property
    def has_room(self) -> bool:
        """Whether more of the topic may be fetched."""
        return self._records < self._records_limit and self._size < self._size_limit

    def begin(self, session: int, positions: Mapping[TopicPartition, int]) -> None:
        """Forget all older deliveries; from here on take those of `session`, from these positions."""
        with self._counting:
            self._session = session
            self._records = self._size = 0
        self._failure = None
        self._expected = {place: next_ for place, next_ in positions.items() if place.topic == self.topic}
        self._waiting = {place: deque() for place in self._expected}

    def end(self) -> None:
        """Forget all deliveries, and take none until another session begins."""
        self.begin(NOBODY, {})

    def fail(self, session: int, failure: NenrinError) -> None:
        """Hand an error of the log to whoever takes what is there: nothing follows it in this session."""
        if session == self._session:
            self._failure = failure
            self._arrived.set()

    def fetched(self, delivered: Delivered) -> None:
        """Count a delivery that is on its way. Called on the consumer's thread."""
        self._count(delivered, 1)

    def put(self, *deliveries: Delivered) -> None:
        """Take deliveries that arrived; those of an older session are dropped.

        Raises `Gap` when one does not continue the one before: something between consumer and agent lost a record.
        """
        for delivered in deliveries:
            place = delivered.place
            if delivered.session != self._session or place not in self._waiting:
                continue
            if delivered.since != self._expected[place]:
                raise Gap(
                    f"{place}: a delivery covers offsets {delivered.since} to {delivered.next - 1}, "
                    f"but {self._expected[place]} comes next"
                )
            self._expected[place] = delivered.next
            self._waiting[place].append(delivered)
        self._arrived.set()

    async def take(self, most: int, size: int) -> list[Delivered]:
        """Wait for deliveries, and take what is there of all partitions; in order within a partition.

        The caller says `done` when they are. Raises what `fail` was given, once, behind all deliveries.
        """
        while True:
            taken = [delivered for place in self._open() for delivered in self._pop(place, most, size)]
            if taken:
                return taken
            await self._arrival()

    async def batches(self, most: int, size: int) -> AsyncGenerator[PartitionBatch]:
        """The deliveries as batches of one partition, the longest unserved first.

        A batch is done when the next one is asked for, or the iterator closed. Several tasks may iterate at once: no
        partition is handed to two of them at a time. Raises what `fail` was given, once, behind all deliveries.
        """
        while True:
            batch = await self._next_batch(most, size)
            try:
                yield batch
            finally:
                self._busy.discard(batch.place)
                self._arrived.set()  # another task may be waiting for this very partition
                self.done(batch.deliveries)

    def done(self, deliveries: Iterable[Delivered]) -> None:
        """Make room: these deliveries are dealt with."""
        for delivered in deliveries:
            self._count(delivered, -1)

    async def _next_batch(self, most: int, size: int) -> PartitionBatch:
        while True:
            for place in self._open():
                if taken := self._pop(place, most, size):
                    self._busy.add(place)
                    self._waiting[place] = self._waiting.pop(place)  # to the end of the order
                    return PartitionBatch(place, taken[0].session, tuple(taken))
            await self._arrival()

    async def _arrival(self) -> None:
        if (failure := self._failure) is not None:
            self._failure = None
            raise failure
        self._arrived.clear()
        await self._arrived.wait()

    def _open(self) -> list[TopicPartition]:
        return [place for place, waiting in self._waiting.items() if waiting and place not in self._busy]

    def _pop(self, place: TopicPartition, most: int, size: int) -> list[Delivered]:
        waiting, total = self._waiting[place], 0
        taken: list[Delivered] = []
        while waiting and len(taken) < most and (not taken or total + waiting[0].size <= size):
            total += waiting[0].size
            taken.append(waiting.popleft())
        return taken

    def _count(self, delivered: Delivered, sign: int) -> None:
        with self._counting:
            if delivered.session == self._session:
                self._records += sign
                self._size += sign * delivered.size
