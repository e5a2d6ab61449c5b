"""Appending again what lies in the log: read as it is, written once, and found again when its fate is in doubt."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from eventlog.batches import UNREAD
from eventlog.connection import KafkaSettings
from eventlog.consumer import Consumer
from eventlog.delivery import TopicPartition
from schemas.errors import InvalidInput, LogAway, PositionLost
from schemas.records import Record, frozen_headers
from schemas.topics import SOURCE_RECORD_LIMIT

ANSWER_WITHIN = 5.0
"""Seconds for one record to be read, or to be acknowledged."""


class Appender:
    """One idempotent producer, and a consumer that looks at single records. Every call may raise `LogAway`."""

    def __init__(self, kafka: KafkaSettings, consumer: Consumer, producer: Any) -> None:
        self._kafka = kafka
        self._consumer = consumer
        self._producer = producer

    async def read(self, place: TopicPartition, offset: int) -> Record:
        """The record at an offset. Raises `PositionLost` when it is gone, `InvalidInput` when it can't be read."""
        tp = self._seek(place, offset)
        found = await self._next(tp)
        if found[0].offset != offset:
            raise PositionLost(
                f"{place}@{offset} is no longer in the log, which goes on at {found[0].offset}: it can't be appended "
                "again; see that the topic's retention.ms is -1"
            )
        return _written_as_it_is(_record(place, found[0]))

    async def end(self, place: TopicPartition) -> int:
        """The high watermark of a partition."""
        tp = self._real(place)
        async with _answered():
            ends = await self._consumer.end_offsets([tp])
        end: int = ends[tp]
        return end

    async def find(self, place: TopicPartition, since: int, record: Record) -> int | None:
        """The first offset from `since` on at which a record with the same key, headers and value lies."""
        end, tp = await self.end(place), self._seek(place, since)
        while await self._position(tp) < end:
            for found in await self._next(tp, or_until=end):
                other = _record(place, found)
                if (other.key, other.headers, other.value) == (record.key, record.headers, record.value):
                    return other.offset
        return None

    async def append(self, place: TopicPartition, record: Record) -> int:
        """Write a record, and return its offset once all in-sync replicas have it.

        Raises `LogAway` with the outcome "unknown": it may be in the log, and this appender must write no more.
        """
        tp = self._real(place)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                done = await self._producer.send_and_wait(
                    tp.topic, record.value, record.key, partition=tp.partition, headers=list(record.headers)
                )
        except (KafkaError, TimeoutError) as error:
            why = str(error) or f"no answer within {ANSWER_WITHIN:g} s"
            raise LogAway("unknown", f"Kafka did not acknowledge the event for {place}: {why}") from error
        if done.offset is None or done.offset < 0:  # a repeated batch, whose first acknowledgement was lost
            raise LogAway("unknown", f"Kafka has the event for {place}, but does not say where")
        offset: int = done.offset
        return offset

    def _real(self, place: TopicPartition) -> aiokafka.TopicPartition:
        return aiokafka.TopicPartition(self._kafka.real(place.topic), place.partition)

    def _seek(self, place: TopicPartition, offset: int) -> aiokafka.TopicPartition:
        tp = self._real(place)
        if self._consumer.assignment() != {tp}:
            self._consumer.assign([tp])
        self._consumer.seek(tp, offset)
        return tp

    async def _position(self, tp: aiokafka.TopicPartition) -> int:
        async with _answered():
            position: int = await self._consumer.position(tp)
        return position

    async def _next(self, tp: aiokafka.TopicPartition, or_until: int | None = None) -> list[Any]:
        """The next records; with `or_until` none, if the position gets there over markers alone."""
        async with _answered():
            while True:
                try:
                    found: list[Any] = (await self._consumer.getmany(tp, timeout_ms=200)).get(tp, [])
                except OffsetOutOfRangeError as error:
                    raise PositionLost(f"{tp.topic}/{tp.partition} no longer has the offset {error.args[0]}") from error
                if found or (or_until is not None and await self._consumer.position(tp) >= or_until):
                    return found


@asynccontextmanager
async def appending(kafka: KafkaSettings) -> AsyncIterator[Appender]:
    """An appender, connected. Raises `LogAway` when nothing answers."""
    consumer = Consumer(**kafka.aiokafka(), auto_offset_reset="none", enable_auto_commit=False)
    producer = aiokafka.AIOKafkaProducer(
        **kafka.aiokafka(),
        client_id="nenrin-parked",
        enable_idempotence=True,
        acks="all",
        # the broker's limit counts compressed bytes
        compression_type="gzip",
        max_request_size=64 * SOURCE_RECORD_LIMIT,
    )
    try:
        async with _answered():
            await consumer.start()
            await producer.start()
        yield Appender(kafka, consumer, producer)
    finally:
        await asyncio.wait([asyncio.ensure_future(each.stop()) for each in (consumer, producer)], timeout=2.0)


@asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            yield
    except (KafkaError, TimeoutError) as error:
        why = str(error) or f"no answer within {ANSWER_WITHIN:g} s"
        raise LogAway("not_written", f"Kafka does not answer: {why}") from error


def _record(place: TopicPartition, found: Any) -> Record:
    return Record(
        place.topic,
        place.partition,
        found.offset,
        found.timestamp,
        found.key,
        found.value,
        frozen_headers(found.headers),
    )


def _written_as_it_is(record: Record) -> Record:
    """The record, if what a client writes would be the same again."""
    place = f"{record.topic}/{record.partition}@{record.offset}"
    if (unread := record.header(UNREAD)) is not None:
        raise InvalidInput("PLACE", f"{place} can't be read ({unread.decode(errors='replace')}): produce it anew")
    if any("\\x" in name for name, _ in record.headers):
        raise InvalidInput("PLACE", f"{place} has a header whose name is not UTF-8: produce it anew without that")
    return record
