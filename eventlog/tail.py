"""The ends of a partition: the first and the last record that a reader would get."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import aiokafka

from eventlog.connection import KafkaSettings
from eventlog.consumer import Consumer
from eventlog.delivery import TopicPartition
from schemas.errors import PositionLost
from schemas.mending import EMBED_AGAIN
from schemas.records import Record, frozen_headers

_Found = dict[aiokafka.TopicPartition, aiokafka.ConsumerRecord]
_How = Callable[[aiokafka.AIOKafkaConsumer, list[aiokafka.TopicPartition]], Awaitable[_Found]]

PATIENCE = 30.0
"""Seconds in which a fetch must bring something, or move the position over markers."""


async def read_tails(kafka: KafkaSettings, places: Collection[TopicPartition]) -> dict[TopicPartition, Record | None]:
    """The last committed record of each partition; None for one that never had any.

    Raises `PositionLost` for a partition that had records and has lost them all.
    """
    return await _read(kafka, places, _read_back)


async def read_firsts(kafka: KafkaSettings, places: Collection[TopicPartition]) -> dict[TopicPartition, Record | None]:
    """The first committed record of each partition; None for one that holds none."""
    return await _read(kafka, places, _read_forth)


async def read_from(
    kafka: KafkaSettings, positions: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Record | None]:
    """The first committed record of each partition at or behind a position inside it; None for one without any."""

    async def read(consumer: aiokafka.AIOKafkaConsumer, tps: list[aiokafka.TopicPartition]) -> _Found:
        at = {aiokafka.TopicPartition(kafka.real(place.topic), place.partition): at for place, at in positions.items()}
        return await _read_first(consumer, {tp: at[tp] for tp in tps})

    return await _read(kafka, positions.keys(), read)


async def _read(
    kafka: KafkaSettings, places: Collection[TopicPartition], how: _How
) -> dict[TopicPartition, Record | None]:
    tps = {aiokafka.TopicPartition(kafka.real(place.topic), place.partition): place for place in places}
    if not tps:
        return {}
    consumer = Consumer(
        **kafka.aiokafka(), isolation_level="read_committed", auto_offset_reset="none", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(list(tps))
        found = await how(consumer, list(tps))
    finally:
        await consumer.stop()
    return {place: _record(place, found.get(tp)) for tp, place in tps.items()}


async def _read_forth(consumer: aiokafka.AIOKafkaConsumer, tps: list[aiokafka.TopicPartition]) -> _Found:
    return await _read_first(consumer, await consumer.beginning_offsets(tps))


async def _read_first(consumer: aiokafka.AIOKafkaConsumer, positions: Mapping[aiokafka.TopicPartition, int]) -> _Found:
    ends = await consumer.end_offsets(list(positions))
    first: _Found = {}
    for tp, position in positions.items():
        consumer.seek(tp, position)
    for tp in positions:
        first |= await _read_to(consumer, tp, ends[tp], only_first=True)
    return first


async def _read_back(consumer: aiokafka.AIOKafkaConsumer, tps: list[aiokafka.TopicPartition]) -> _Found:
    """Look further and further back, until each partition shows a record or its beginning is reached."""
    begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    last: _Found = {}
    back = 1
    left = {tp for tp in tps if ends[tp] > begins[tp]}
    while left:
        for tp in left:
            consumer.seek(tp, max(begins[tp], ends[tp] - back))
        for tp in left:
            last |= await _read_to(consumer, tp, ends[tp])
        left = {tp for tp in left if tp not in last and ends[tp] - back > begins[tp]}
        back *= 8
    for tp in tps:
        if tp not in last and ends[tp] > 0 and begins[tp] > 0:
            raise PositionLost(
                f"{tp.topic}/{tp.partition} has ended at offset {ends[tp]}, but holds no record any more: see that its "
                f"retention.ms is -1; `{EMBED_AGAIN}` makes it anew from the source"
            )
    return last


async def _read_to(
    consumer: aiokafka.AIOKafkaConsumer, tp: aiokafka.TopicPartition, end: int, *, only_first: bool = False
) -> _Found:
    """Read one partition from where it stands up to `end`, and keep the last record, or the first."""
    last: _Found = {}
    position = await consumer.position(tp)
    async with asyncio.timeout(PATIENCE) as patience:
        while position < end:
            for record in (await consumer.getmany(tp, timeout_ms=100)).get(tp, ()):
                last[tp] = record
                if only_first:
                    return last
            if (reached := await consumer.position(tp)) > position:
                position = reached
                patience.reschedule(asyncio.get_running_loop().time() + PATIENCE)
    return last


def _record(place: TopicPartition, record: aiokafka.ConsumerRecord | None) -> Record | None:
    if record is None:
        return None
    return Record(
        place.topic,
        place.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        frozen_headers(record.headers),
    )
