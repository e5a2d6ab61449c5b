"""The end of a partition: the last record that a reader would get."""

import asyncio
from collections.abc import Collection

import aiokafka

from eventlog.connection import KafkaSettings
from eventlog.delivery import TopicPartition
from schemas.errors import PositionLost
from schemas.records import Record, frozen_headers

PATIENCE = 30.0
"""Seconds in which a fetch must bring something, or move the position over markers."""


async def read_tails(kafka: KafkaSettings, places: Collection[TopicPartition]) -> dict[TopicPartition, Record | None]:
    """The last committed record of each partition; None for one that never had any.

    Raises `PositionLost` for a partition that had records and has lost them all.
    """
    tps = {aiokafka.TopicPartition(kafka.real(place.topic), place.partition): place for place in places}
    if not tps:
        return {}
    consumer = aiokafka.AIOKafkaConsumer(
        **kafka.aiokafka(), isolation_level="read_committed", auto_offset_reset="none", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(list(tps))
        last = await _read_back(consumer, list(tps))
    finally:
        await consumer.stop()
    return {place: _record(place, last.get(tp)) for tp, place in tps.items()}


async def _read_back(
    consumer: aiokafka.AIOKafkaConsumer, tps: list[aiokafka.TopicPartition]
) -> dict[aiokafka.TopicPartition, aiokafka.ConsumerRecord]:
    """Look further and further back, until each partition shows a record or its beginning is reached."""
    begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
    last: dict[aiokafka.TopicPartition, aiokafka.ConsumerRecord] = {}
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
                f"{tp.topic}/{tp.partition} has ended at offset {ends[tp]}, but holds no record any more: "
                "see that its retention.ms is -1, and make the topic anew"
            )
    return last


async def _read_to(
    consumer: aiokafka.AIOKafkaConsumer, tp: aiokafka.TopicPartition, end: int
) -> dict[aiokafka.TopicPartition, aiokafka.ConsumerRecord]:
    """Read one partition from where it stands up to `end`, and keep the last record."""
    last: dict[aiokafka.TopicPartition, aiokafka.ConsumerRecord] = {}
    position = await consumer.position(tp)
    async with asyncio.timeout(PATIENCE) as patience:
        while position < end:
            for record in (await consumer.getmany(tp, timeout_ms=100)).get(tp, ()):
                last[tp] = record
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
