"""`nenrin topics copy`: the log, copied into topics of another prefix with the partitions that NENRIN_PARTITIONS says.

Partitions that are added to a topic move keys: a document's older events lie in one partition, its newer ones in
another, and nothing tells a projection which came last. The copy has them in one again, in the order of the broker's
times. What is there is left as it is.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiokafka
import msgspec

from eventlog.connection import KafkaSettings
from eventlog.consumer import Consumer
from eventlog.topics import Topics
from schemas import topics
from schemas.errors import InvalidInput
from schemas.mending import RESET
from schemas.partitions import partition_of
from schemas.topics import DOCUMENTS, SOURCE_RECORD_LIMIT
from services.init.installing import encoders
from services.settings import Settings

AT_ONCE = 500
"""Records of a partition that are fetched together, and sent before the next are."""

Say = Callable[[str], None]


def copy(settings: Settings, prefix: str, say: Say = print) -> int:
    """Copy `documents` into the topic of that name behind `prefix`; returns how many records it now has.

    Raises `InvalidInput` where there are records already, `TopicMismatch`, `LogAway`, `DatabaseAway`.
    """
    if prefix == settings.topic_prefix:
        raise InvalidInput("PREFIX", f"{prefix!r} is the prefix of the topics that are copied: choose another, as v2.")
    return asyncio.run(_copy(settings, prefix, say))


async def _copy(settings: Settings, prefix: str, say: Say) -> int:
    kafka, partitions = settings.kafka_settings(), settings.partitions
    target = msgspec.structs.replace(kafka, topic_prefix=prefix)
    (source,) = await Topics(kafka).identify(DOCUMENTS)
    ends = {partition: bounds.end for (_, partition), bounds in (await Topics(kafka).bounds([source])).items()}
    await _make(target, partitions, await encoders(settings.dsn))
    copied = 0
    async with _reading(kafka, ends) as records, _producer(target) as producer:
        sent: list[asyncio.Future[object]] = []
        async for record in records:
            partition = partition_of(record.key or b"", partitions)
            sent.append(
                await producer.send(
                    target.real(DOCUMENTS), record.value, record.key, partition, headers=list(record.headers)
                )
            )
            copied += 1
            if len(sent) >= AT_ONCE:
                await asyncio.gather(*sent)
                sent.clear()
        await asyncio.gather(*sent)
    say(f"copied {copied:,} records into {target.real(DOCUMENTS)}, {partitions} partitions")
    say(f"now run everything with NENRIN_TOPIC_PREFIX={prefix}, and `{RESET}`")
    return copied


async def _make(target: KafkaSettings, partitions: int, names: Sequence[str]) -> None:
    cluster = Topics(target)
    await cluster.carry_out(await cluster.plan(topics.wanted(partitions, *names)))
    bounds = await cluster.bounds(await cluster.identify(DOCUMENTS))
    if any(found.end for found in bounds.values()):
        raise InvalidInput(
            "PREFIX", f"{target.real(DOCUMENTS)} has records already: remove it, or choose another prefix"
        )


@asynccontextmanager
async def _producer(target: KafkaSettings) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    producer = aiokafka.AIOKafkaProducer(
        **target.aiokafka(), enable_idempotence=True, acks="all", linger_ms=5, max_request_size=2 * SOURCE_RECORD_LIMIT
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def _reading(
    kafka: KafkaSettings, ends: Mapping[int, int]
) -> AsyncIterator[AsyncIterator[aiokafka.ConsumerRecord]]:
    """The committed records of all partitions up to these ends, the oldest first."""
    consumer = Consumer(
        **kafka.aiokafka(), isolation_level="read_committed", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([aiokafka.TopicPartition(kafka.real(DOCUMENTS), partition) for partition in ends])
        yield _merged(
            consumer, {aiokafka.TopicPartition(kafka.real(DOCUMENTS), each): end for each, end in ends.items()}
        )
    finally:
        await consumer.stop()


async def _merged(
    consumer: aiokafka.AIOKafkaConsumer, ends: Mapping[aiokafka.TopicPartition, int]
) -> AsyncIterator[aiokafka.ConsumerRecord]:
    waiting: dict[aiokafka.TopicPartition, deque[aiokafka.ConsumerRecord]] = {tp: deque() for tp in ends}
    while waiting:
        for tp in [tp for tp, records in waiting.items() if not records]:
            waiting[tp].extend(await _next(consumer, tp, ends[tp]))
            if not waiting[tp]:
                del waiting[tp]
        if waiting:
            first = min(waiting, key=lambda tp: (waiting[tp][0].timestamp, tp))
            yield waiting[first].popleft()


async def _next(
    consumer: aiokafka.AIOKafkaConsumer, tp: aiokafka.TopicPartition, end: int
) -> list[aiokafka.ConsumerRecord]:
    """More of a partition; nothing at its end."""
    while await consumer.position(tp) < end:
        if found := (await consumer.getmany(tp, timeout_ms=100, max_records=AT_ONCE)).get(tp):
            return [record for record in found if record.offset < end]
    return []
