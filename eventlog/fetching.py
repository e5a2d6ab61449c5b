"""The thread that reads Kafka: from where a session began, committed records only, every stretch of log accounted for.

What it fetches carries its session (the number of the claim), and the stretch of log that it stands for, so that what
an older claim left in some buffer can be told from what belongs to this one, and a hole from a transaction marker.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, cast

import aiokafka
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode import Service

from eventlog.connection import KafkaSettings
from eventlog.consumer import Consumer
from eventlog.delivery import Delivered, TopicPartition
from eventlog.ending import exit_on_error
from eventlog.inbox import Inbox
from schemas.errors import PositionLost
from schemas.mending import DOCTOR
from schemas.records import Record, frozen_headers

Claim = Callable[[frozenset[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
"""Make the partitions this process's own, and say which offset of each comes next. What is left out is not read."""

Release = Callable[[], Awaitable[None]]
"""Let go of all partitions: no write for them may begin any more when this returns."""

POLL = 0.2
"""Seconds that a fetch waits for records before it looks for a quiet end."""
POLL_SHUT = 0.01
"""The same, while an inbox is full and may get room at any moment."""
QUIET = 0.2
"""Seconds that markers may lie at an end of the log before they are passed over without a record."""
FETCH_RECORDS = 1000
FETCH_BYTES = 16 * 1024 * 1024
PARTITION_BYTES = 4 * 1024 * 1024
"""Per fetch. A single larger record still comes through, alone."""
END_PATIENCE = 5.0
"""Seconds that a broker that has just started gets to know its own end again."""

Fetched = dict[TP, list[tuple[Delivered, ...]]]


class Reading:
    """What a process reads, and how it is told: one for each application."""

    def __init__(self, kafka: KafkaSettings, inboxes: Iterable[Inbox], claim: Claim, release: Release) -> None:
        self.kafka = kafka
        self.inboxes = {inbox.topic: inbox for inbox in inboxes}
        self.claim = claim
        self.release = release

    def real(self, place: TopicPartition) -> TP:
        """The partition by the topic's name in Kafka."""
        return cast(TP, aiokafka.TopicPartition(self.kafka.real(place.topic), place.partition))

    def logical(self, tp: TP) -> TopicPartition:
        """The partition by the topic's logical name."""
        return TopicPartition(self.kafka.logical(tp.topic), tp.partition)


class PositionedThread(AIOKafkaConsumerThread):
    """Reads Kafka in a thread of its own, from where the session began; committed records only."""

    reading: Reading
    _session: int
    _next: dict[TP, int]
    _ahead_since: dict[TP, float]
    _late: asyncio.Future[None]  # kept, so that it isn't collected while it waits

    async def on_start(self) -> None:
        """Call when the thread starts."""
        self._session = 0
        self._next = {}
        self._ahead_since = {}
        await super().on_start()

    async def stop(self) -> None:
        """Stop, and let the process go on meanwhile: mode would have its event loop wait for the thread's end."""
        if self._started.is_set():
            await Service.stop(self)
            if self._thread is not None:
                await asyncio.to_thread(self._thread.stop)

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        return Consumer(
            **self.reading.kafka.aiokafka(),
            client_id=conf.id,
            group_id=conf.id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            # An offset that the log no longer has must be an error, not a jump.
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_BYTES,
            max_poll_interval_ms=600_000,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
        )

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Fetched:  # noqa: ASYNC109  # Faust's
        """Fetch deliveries of the active partitions."""
        # Faust's own way, a queue of methods, is shared with everything else that is asked of the thread.
        fetch = self._fetch(frozenset(active_partitions or ()), timeout)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(fetch, self.loop))

    async def begin_session(self, session: int, positions: Mapping[TP, int]) -> None:
        """Seek, and tag what is fetched from now on."""
        begin = self._begin_session(session, positions)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(begin, self.loop))

    async def _begin_session(self, session: int, positions: Mapping[TP, int]) -> None:
        begins, ends = await self._extent(positions)
        behind = {tp: self._lost(tp, at, begins[tp]) for tp, at in positions.items() if at < begins[tp]}
        beyond = {tp for tp, at in positions.items() if at > ends[tp]}
        torn = {tp.topic for tp in (*behind, *beyond)}
        readable = {tp: at for tp, at in positions.items() if tp.topic not in torn}
        self._session, self._next, self._ahead_since = session, {}, {}
        self._leave_unread([tp for tp in self._ensure_consumer().assignment() if tp not in readable])
        self._read_from(readable)
        for tp, error in behind.items():
            self._lose(tp, error)
        for topic in torn - {tp.topic for tp in behind}:
            late = self._begin_late(session, {tp: at for tp, at in positions.items() if tp.topic == topic})
            self._late = asyncio.ensure_future(late)

    async def _extent(self, tps: Collection[TP]) -> tuple[Mapping[TP, int], Mapping[TP, int]]:
        """The first offset of each partition, and the one behind the last."""
        consumer = self._ensure_consumer()
        begins, ends = await asyncio.gather(consumer.beginning_offsets(list(tps)), consumer.end_offsets(list(tps)))
        return begins, ends

    def _read_from(self, positions: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, position in positions.items():
            consumer.seek(tp, position)
        consumer.resume(*positions)
        self._next |= positions

    def _leave_unread(self, tps: Collection[TP]) -> None:
        """Have the client fetch nothing of these: what nobody takes from it holds back the other partitions."""
        consumer = self._ensure_consumer()
        consumer.pause(*tps)
        for tp in tps:
            consumer.seek(tp, 0)  # any position: without one the client asks for one again and again

    async def _begin_late(self, session: int, positions: Mapping[TP, int]) -> None:
        """Read a topic once its log reaches to where it is read on; it is lost if that does not happen soon."""
        deadline = self.loop.time() + END_PATIENCE
        with exit_on_error("reading", letting=(ConsumerStoppedError, IllegalStateError)):
            beyond = list(positions)
            while beyond and self.loop.time() < deadline:
                await asyncio.sleep(0.2)
                _, ends = await self._extent(positions)
                beyond = [tp for tp, position in positions.items() if position > ends[tp]]
            if session != self._session:
                return
            if beyond:
                self._lose(beyond[0], self._vanished(beyond[0], positions[beyond[0]], ends[beyond[0]]))
            else:
                self._read_from(positions)

    def _lose(self, tp: TP, error: PositionLost) -> None:
        """Read no more of a topic in this session; who takes its deliveries hears of it."""
        self._next = {other: next_ for other, next_ in self._next.items() if other.topic != tp.topic}
        self.parent_loop.call_soon_threadsafe(self._inbox(tp).fail, self._session, error)

    def _vanished(self, tp: TP, position: int, end: int) -> PositionLost:
        return PositionLost(
            f"{self.reading.logical(tp)}: offset {position} was to come next, but the log ends at {end}. "
            f"Records that were read have vanished: `{DOCTOR}` says how to go on"
        )

    def _lost(self, tp: TP, position: int, begin: int | None) -> PositionLost:
        place = self.reading.logical(tp)
        begins = "no longer holds it" if begin is None else f"begins at {begin}"
        return PositionLost(
            f"{place}: offset {position} was to come next, but the log {begins}. What lies between is gone: "
            f"see that the topic's retention.ms is -1; `{DOCTOR}` says how to go on"
        )

    async def _fetch(self, active: frozenset[TP], patience: float) -> Fetched:
        deadline = self.loop.time() + patience
        session = self._session
        # not beyond a new session: Faust asked before the assignment, and throws away what it gets after it
        while session == self._session and (left := deadline - self.loop.time()) > 0:
            with exit_on_error("reading", letting=(ConsumerStoppedError,)):
                if found := await self._fetch_once(active, left):
                    return found
        return {}

    async def _fetch_once(self, active: frozenset[TP], patience: float) -> Fetched:
        session = self._session
        mine = [tp for tp in self._next if tp in active and self._inbox(tp).session == session]
        open_ = [tp for tp in mine if self._inbox(tp).has_room]
        if not open_:
            await asyncio.sleep(min(POLL_SHUT if mine else POLL, patience))
            return {}
        poll = POLL if len(open_) == len(mine) else POLL_SHUT
        try:
            records = await self._getmany(open_, min(poll, patience))
        except OffsetOutOfRangeError as error:
            self._out_of_range(session, error)
            return {}
        if session != self._session:
            self._give_back(records)
            return {}
        found: Fetched = {tp: [tuple(self._deliver(tp, record) for record in those)] for tp, those in records.items()}
        for tp in open_:
            if tp not in found and (quiet := await self._quiet_end(tp)):
                found[tp] = [(quiet,)]
        return found

    def _out_of_range(self, session: int, error: OffsetOutOfRangeError) -> None:
        """The log lost its beginning or its end while it was read; one of an older session says nothing of this one."""
        tp, position = next(iter(error.args[0].items()))
        if session == self._session:
            self._leave_unread([other for other in self._next if other.topic == tp.topic])
            self._lose(tp, self._lost(tp, position, None))

    def _give_back(self, records: Iterable[TP]) -> None:
        """Read again what a fetch took that was under way when the session began.

        aiokafka lets it wait through a rebalance, and then return what lies at the new position, which it moves.
        """
        for tp in records:
            if tp in self._next:
                self._ensure_consumer().seek(tp, self._next[tp])

    async def _getmany(self, partitions: list[TP], patience: float) -> dict[TP, list[Any]]:
        consumer = self._ensure_consumer()
        try:
            return cast(
                dict[TP, list[Any]],
                await consumer.getmany(*partitions, timeout_ms=int(patience * 1000), max_records=FETCH_RECORDS),
            )
        except NoOffsetForPartitionError:
            # Raised late for a partition that had no position before the session sought one.
            return {}

    def _deliver(self, tp: TP, record: Any) -> Delivered:
        return self._tagged(
            tp,
            record.offset + 1,
            Record(
                self.reading.logical(tp).topic,
                record.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                frozen_headers(record.headers),
            ),
        )

    async def _quiet_end(self, tp: TP) -> Delivered | None:
        """The stretch of markers and aborted records at the end of a partition, once it has lain there for a while."""
        try:
            position = await self._ensure_consumer().position(tp)
        except (IllegalStateError, KafkaError):
            return None  # another assignment is on its way
        if position <= self._next.get(tp, position):
            self._ahead_since.pop(tp, None)
            return None
        now = self.loop.time()
        if now - self._ahead_since.setdefault(tp, now) < QUIET:
            return None
        return self._tagged(tp, position, None)

    def _tagged(self, tp: TP, next_: int, record: Record | None) -> Delivered:
        tagged = Delivered(self.reading.logical(tp), self._session, self._next[tp], next_, record)
        self._next[tp] = next_
        self._ahead_since.pop(tp, None)
        self._inbox(tp).fetched(tagged)
        return tagged

    def _inbox(self, tp: TP) -> Inbox:
        return self.reading.inboxes[self.reading.logical(tp).topic]
